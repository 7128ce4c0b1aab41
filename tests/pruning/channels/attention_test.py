"""Heads of attention are units, wherever the graph shows the layer."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.channels.groups import channel_groups
from tests.keras_version import GATE
from tests.pruning import networks

layers = keras.layers


def attended(layer=None, mask_shape=None, **call):
    """A network of one attention layer, called as said."""
    x = keras.Input((6, 8))
    inputs = [x]
    if mask_shape:
        inputs.append(keras.Input(mask_shape))
        call["attention_mask"] = inputs[-1]
    layer = layer or layers.MultiHeadAttention(4, 5, name="attention")
    inputs = inputs if mask_shape else x
    return networks.shake(keras.Model(inputs, layer(x, x, **call)))


def reasons(model):
    flow = channel_flow(model)
    (units,) = flow.heads.values()
    return {flow.reasons.get(unit) for unit in units.tolist()}


@pytest.mark.parametrize(
    ("layer", "count", "stay"),
    [
        (networks.multi_head(), 4, []),
        (networks.grouped(4, 2, **GATE)(0), 2, []),
        # The one head of keys and values stays.
        (networks.grouped(4, 1)(0), 4, ["key", "value"]),
    ],
    ids=["multi_head", "grouped", "one_key"],
)
def test_masks_keep_whole_heads_in_all_projections(layer, count, stay):
    plain = attended(layer)
    tokens = networks.images((2, 6, 8))
    model = ht.to_masked(plain, granularity="head")
    np.testing.assert_allclose(plain(tokens), model(tokens), atol=1e-6)
    (group,) = channel_groups(model)
    assert group.names == ("attention_output",)
    group.leader.scores.assign(np.arange(count) % 3)
    group.leader.density = 0.5
    ht.set_phase(model, "prune")
    pruned = np.asarray(model(tokens))
    ht.set_phase(model, "finetune")
    kept = np.asarray(group.leader.scoring.mask())
    assert kept.sum() == count / 2
    masked = ht.masked_layers(model)
    assert [name for name in masked if np.all(masked[name].mask)] == stay
    for name in masked.keys() - stay:
        each = masked[name]
        mask = np.asarray(each.mask)
        # (heads, size, channels) or (channels, heads, size)
        reads = name.endswith("output")
        by_head = mask if reads else np.moveaxis(mask, 0, -1)
        np.testing.assert_array_equal(
            by_head[:, 0, 0], np.repeat(kept, len(by_head) // len(kept))
        )
        assert (by_head == by_head[:, :1, :1]).all()
    assert np.abs(pruned - plain(tokens)).max() > 0.01
    np.testing.assert_allclose(pruned, model(tokens), atol=1e-5)
    stripped = ht.strip_masks(model)
    np.testing.assert_allclose(pruned, stripped(tokens), atol=1e-5)


def test_a_layer_called_twice_and_one_in_a_nested_model(tmp_path):
    x = keras.Input((6, 8))
    shared = layers.MultiHeadAttention(4, 5, name="shared")
    inner = attended(layers.MultiHeadAttention(2, 3, name="inside"))
    y = inner(shared(shared(x, x), x))
    model = ht.to_masked(keras.Model(x, y), granularity="head", density=0.5)
    counts = [group.num_units for group in channel_groups(model)]
    assert counts == [4, 2]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    tokens = networks.images((2, 6, 8))
    np.testing.assert_array_equal(model(tokens), loaded(tokens))
    ht.set_phase(loaded, "finetune")
    np.testing.assert_allclose(model(tokens), loaded(tokens), atol=1e-5)
    *_, query, _, _, output = ht.masked_layers(loaded).values()
    assert (query.name, output.name) == ("query", "attention_output")
    assert query.masked_kernel.other_scoring is output.scoring


def test_masks_for_all_heads_leave_them_free():
    assert reasons(attended()) == {None}
    assert reasons(attended(None, (6, 6), use_causal_mask=True)) == {None}


@pytest.mark.parametrize(
    "call", [{"return_attention_scores": True}, {"mask_shape": (4, 6, 6)}]
)
def test_heads_that_others_see_stay(call):
    model = attended(**call)
    (reason,) = reasons(model)
    assert "are seen by more than its projections" in reason
    with pytest.raises(InputError, match="has no heads .*are seen by more"):
        ht.to_masked(model, granularity="head")


def test_a_subclass_that_computes_something_else_keeps_its_heads():
    class Own(layers.MultiHeadAttention):
        def _compute_attention(self, query, *args, **kwargs):
            return query, None

    (reason,) = reasons(attended(Own(4, 5)))
    assert "are seen by more than its projections" in reason


def test_a_projection_that_is_left_plain_keeps_its_heads():
    x = keras.Input((6, 8))
    first, second = (layers.MultiHeadAttention(4, 5, name=n) for n in "ab")
    plain = keras.Model(x, second(first(x, x), x))
    with pytest.warns(
        UserWarning,
        match=r"1 of 2 attention layers keep all their heads.*'a' are "
        r"shared with 'a/query' \(EinsumDense\), which is not masked",
    ):
        model = ht.to_masked(
            plain,
            exclude=lambda layer: layer is first.query_dense,
            granularity="head",
        )
    assert [g.num_units for g in channel_groups(model)] == [4]
    assert "a/query" not in ht.masked_layers(model)
