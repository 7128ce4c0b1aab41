"""What is pruned ranks below what is left, in the order that it had."""

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hydra_tf as ht
from hydra_tf.pruning.nesting import kept_now
from hydra_tf.pruning.nesting import rank_below


def one_layer(scores, **arguments):
    model = ht.to_masked(
        keras.Sequential(
            [keras.Input((len(scores),)), keras.layers.Dense(1, name="dense")]
        ),
        **arguments,
    )
    layer = model.get_layer("dense")
    layer.scores.assign(np.reshape(scores, (-1, 1)))
    return model, layer


def test_tells_what_masks_keep():
    model, _ = one_layer([0.1, -3.0, 2.0, 0.0])
    ht.set_density(model, 0.5)
    np.testing.assert_array_equal(
        kept_now(model)["dense"].ravel(), [False, True, True, False]
    )


def test_tells_what_masks_of_n_of_m_keep():
    # Not the largest of all, but of each block.
    model, _ = one_layer([9.0, 8.0, 1.0, 2.0], granularity="1:2")
    np.testing.assert_array_equal(
        kept_now(model)["dense"].ravel(), [True, False, False, True]
    )


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
    scores=hnp.arrays(
        np.float32,
        st.integers(2, 12),
        elements=st.one_of(
            st.just(0.0), st.floats(-8, 8, width=32), st.just(1e-20)
        ),
    ),
    data=st.data(),
)
def test_any_kept_entry_outranks_any_pruned_one(scores, data):
    model, layer = one_layer(scores)
    kept = np.zeros(scores.size, bool)
    number = data.draw(st.integers(1, scores.size))
    kept[data.draw(st.permutations(range(scores.size)))[:number]] = True
    rank_below(model, {"dense": kept.reshape(-1, 1)})
    ranked = np.abs(layer.scores).ravel()
    if not kept.all():
        assert ranked[kept].min() > ranked[~kept].max()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_order_on_both_sides_stays(scale):
    scores = scale * np.array([0.4, -0.1, 0.3, -2.0, 0.0, 0.5], np.float32)
    kept = np.array([1, 1, 0, 0, 0, 1], bool)
    model, layer = one_layer(scores)
    rank_below(model, {"dense": kept.reshape(-1, 1)})
    order = np.argsort(-np.abs(layer.scores).ravel(), kind="stable")
    np.testing.assert_array_equal(order, [5, 0, 1, 3, 2, 4])
    # What stays has the scores of its method.
    np.testing.assert_array_equal(
        np.asarray(layer.scores).ravel()[kept], scores[kept]
    )


def test_nothing_pruned_changes_nothing():
    scores = np.array([0.0, 1.0, -1e-30], np.float32)
    model, layer = one_layer(scores)
    rank_below(model, {"dense": np.ones((3, 1), bool)})
    np.testing.assert_array_equal(np.asarray(layer.scores).ravel(), scores)
