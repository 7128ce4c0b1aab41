"""The smallest weights go, those of the largest gradients come."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hydra_tf.ops.masks import n_of_m_mask
from hydra_tf.ops.masks import topk_mask
from hydra_tf.pruning.courses.regrowth import drop_share_at
from hydra_tf.pruning.courses.regrowth import num_dropped
from hydra_tf.pruning.courses.regrowth import regrowth_scores


def test_drop_share_falls_by_a_cosine():
    assert drop_share_at(0.0, 0.5) == 0.5
    assert drop_share_at(0.5, 0.5) == pytest.approx((0.5 + 0.005) / 2)
    assert drop_share_at(1.0, 0.5) == pytest.approx(0.005)
    assert drop_share_at(1.0, 0.001) == 0.001


@hypothesis.given(st.integers(1, 500), st.floats(0.0, 1.0))
def test_one_weight_stays(kept, share):
    dropped = num_dropped(kept, share)
    assert 0 <= dropped < kept
    assert dropped <= share * kept + 1e-6


FLOATS = st.floats(-4.0, 4.0, width=32)


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(st.data())
def test_as_many_come_as_go(data):
    size = data.draw(st.integers(2, 40))
    weights, gradients = (
        data.draw(hnp.arrays(np.float32, size, elements=FLOATS))
        for _ in range(2)
    )
    kept = np.zeros(size, bool)
    kept[: data.draw(st.integers(1, size - 1))] = True
    kept = np.random.default_rng(0).permutation(kept)
    dropped = num_dropped(kept.sum(), data.draw(st.floats(0.0, 1.0)))
    scores = regrowth_scores(weights, gradients, kept, dropped)
    after = topk_mask(scores, kept.sum() / size).numpy() > 0
    assert after.sum() == kept.sum()
    # What stays is larger than what went, what came is steeper than the rest.
    stays = scores >= 1
    assert stays.sum() == kept.sum() - dropped and np.all(after[stays])
    went = kept & ~stays
    if went.any():
        assert abs(weights[went]).max() <= abs(weights[stays]).min()
    came, rest = after & ~stays, ~after
    if came.any() and rest.any():
        slopes = np.float32(abs(gradients) / (abs(gradients).max() or 1))
        assert slopes[came].min() >= slopes[rest].max()


def test_blocks_regrow_within_themselves():
    weights = np.array([4.0, 3, 0, 0, 0.1, 0, 0, 5])
    kept = weights != 0
    gradients = np.array([0.0, 0, 9, 8, 0, 2, 1, 0])
    scores = regrowth_scores(weights, gradients, kept, dropped=1)
    mask = n_of_m_mask(scores[:, None], 2, 4).numpy().ravel()
    assert mask.tolist() == [1, 1, 0, 0, 0, 1, 0, 1]
