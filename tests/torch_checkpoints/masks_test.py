"""The originals' masks, and scores that keep the same weights."""

import numpy as np
import pytest

from hydra_tf.ops import kept_count
from hydra_tf.ops import topk_mask
from hydra_tf.torch_checkpoints import masks
from tests import golden


@pytest.mark.parametrize("name", ["vec", "vecodd", "dense", "conv"])
def test_masks_equal_the_golden_ones(name):
    arrays = golden.load("masks")
    scores = arrays[f"{name}_scores"]
    for index, density in enumerate(arrays["densities"]):
        mask = masks.mask_of_scores(scores, float(density), scores.shape)
        np.testing.assert_array_equal(mask, arrays[f"{name}_mask"][index])
        learned = masks.mask_of_scores(
            scores, np.float32(density), scores.shape
        )
        kept = arrays[f"harp_{name}_kept"][index]
        assert np.count_nonzero(learned) == kept


def test_masks_of_channels_equal_the_golden_ones():
    arrays = golden.load("harp")
    kernel = arrays["channel_conv_kernel"].transpose(3, 2, 0, 1)
    scores = arrays["channel_conv_scores"].reshape(1, -1, 1, 1)
    for rate, expected in zip(
        arrays["channel_conv_rates"], arrays["channel_conv_masks"], strict=True
    ):
        mask = masks.mask_of_scores(scores, rate, kernel.shape)
        assert mask.shape == kernel.shape
        np.testing.assert_array_equal(mask[0, :, 0, 0], expected)


@pytest.mark.parametrize(
    "magnitudes",
    [
        np.random.default_rng(0).integers(0, 4, 500),
        np.zeros(500),
        np.full(500, 3.0),
        np.full(500, np.finfo(np.float32).max),
        np.random.default_rng(0).integers(0, 2, 500) * 1e-42,
    ],
    ids=["ties", "zeros", "equal", "largest", "denormal"],
)
@pytest.mark.parametrize("density", [0.002, 0.1, 0.5, 0.9])
def test_scores_keep_any_mask(magnitudes, density):
    random = np.random.default_rng(1)
    scores = np.float32(magnitudes * random.choice([-1, 1], 500))
    mask = masks.mask_of_scores(
        scores,
        density,
        scores.shape,
        # Those of higher index are removed first.
        lambda values: np.lexsort((-np.arange(500), values)),
    )
    changed = masks.scores_with_mask(scores, mask)
    kept = topk_mask(changed, mask.sum() / 500)
    np.testing.assert_array_equal(kept, mask)
    np.testing.assert_allclose(changed, scores, rtol=1e-6, atol=2e-38)


def test_scores_without_ties_stay():
    scores = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    mask = masks.mask_of_scores(scores, 0.3, scores.shape)
    np.testing.assert_array_equal(masks.scores_with_mask(scores, mask), scores)


def test_density_is_the_one_asked_for_if_it_keeps_as_many():
    assert masks.density_of_count(5, 50, 0.1) == 0.1
    assert masks.density_of_count(6, 50, 0.1) == 6 / 50
    assert kept_count(masks.density_of_count(901, 1000, 0.9), 1000) == 901
    assert masks.density_of_count(0, 50) == 1 / 50


def test_learned_density_is_between_the_least_and_one():
    assert masks.learned_density(np.float32(0), 0.2) == np.float32(0.6)
    assert masks.learned_density(np.float32(-100), 0.2) == np.float32(0.2)
    assert masks.learned_density(np.float32(100), 0.2) == 1
