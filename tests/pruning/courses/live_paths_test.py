"""Weights on no path are exchanged for those of the largest gradient."""

import numpy as np
import pytest

import hydra_tf as ht
from tests.pruning.courses import driven
from tests.pruning.courses import small

pytestmark = pytest.mark.usefixtures("without_tracing")


def begun(**settings):
    return driven.course_of("live_paths", **{"density": 0.25, **settings})


def set_gradients(course, of_layer):
    """Sets the mean gradients of each layer by its mask."""
    for name, layer in ht.masked_layers(course.network).items():
        kept = np.asarray(layer.stored_mask) > 0
        course.gradients[name].assign(of_layer(kept))


def test_density_falls_and_the_least_magnitudes_go():
    course = begun(density_ramp=0.8)
    densities = [course.figures()["density"]]
    for step in (4, 8, 16):
        before = small.kept(course)
        set_gradients(course, lambda kept: np.ones(kept.shape))
        course.update(step)
        densities.append(course.figures()["density"])
        for name, layer in ht.masked_layers(course.network).items():
            kept = small.kept(course)[name]
            assert np.all(before[name] >= kept)
            sizes = np.abs(np.asarray(layer.kernel))
            assert sizes[kept].min() >= sizes[before[name] & ~kept].max()
    assert densities[0] == 1.0
    assert densities == sorted(densities, reverse=True)
    assert densities[-1] == pytest.approx(0.25, abs=0.02)


def test_weights_off_all_paths_are_exchanged_by_gradient():
    course = begun(density_ramp=0.0)
    layers = ht.masked_layers(course.network)
    # No logit reads the last channel of the convolution.
    scores = np.array(layers["logits"].scores)
    scores.reshape(-1, 8, 3)[:, 7] = 0.0
    layers["logits"].scores.assign(scores)
    layers["logits"].scoring.refresh()
    before = small.kept(course)["conv"]
    idle = int(before[..., 7].sum())
    assert idle
    rng = np.random.default_rng(0)
    slopes = rng.uniform(1, 2, before.shape)
    slopes[..., 7] = 0.0  # As of whatever no output depends on.
    course.gradients["conv"].assign(slopes)
    course.update(1)
    after = small.kept(course)["conv"]
    assert not after[..., 7].any()
    came = after & ~before
    assert came.sum() == idle and after.sum() == before.sum()
    assert np.all(np.asarray(layers["conv"].kernel)[came] == 0)
    assert slopes[came].min() > slopes[~before & ~after].max()


@pytest.mark.parametrize("allocation", ["global", "lamp"])
def test_what_pruned_weights_were_splits_no_density(allocation):
    course = begun(density_ramp=0.8, allocation=allocation)
    set_gradients(course, lambda kept: np.ones(kept.shape))
    course.update(8)
    kept = small.kept(course)
    other = begun(density_ramp=0.8, allocation=allocation)
    set_gradients(other, lambda kept: np.ones(kept.shape))
    other.update(8)
    for name, layer in ht.masked_layers(other.network).items():
        kernel = np.array(layer.kernel)
        layer.kernel.assign(np.where(kept[name], kernel, 9 * kernel))
    for each in (course, other):
        each.update(16)
        assert each.figures()["density"] == pytest.approx(0.25, abs=0.02)
    counts = [
        {name: mask.sum() for name, mask in small.kept(each).items()}
        for each in (course, other)
    ]
    assert counts[0] == counts[1]


def test_a_frozen_layer_keeps_its_largest_weights():
    course = begun(density=0.02, allocation="uniform")
    layer = ht.masked_layers(course.network)["conv"]
    layer.kernel.trainable = False
    for epoch in range(course.epochs):
        driven.run_epoch(course, epoch, move=lambda *_: None)
    kept = np.asarray(layer.stored_mask) > 0
    sizes = np.abs(np.asarray(layer.kernel))
    assert kept.sum() < kept.size
    assert sizes[kept].min() > sizes[~kept].max()


def test_masks_stay_where_all_weights_work():
    course = begun(density_ramp=0.0)
    before = small.kept(course)
    # Pruned weights have the largest gradients, and stay pruned.
    set_gradients(course, lambda kept: np.where(kept, 1.0, 100.0))
    course.update(1)
    for name, kept in small.kept(course).items():
        np.testing.assert_array_equal(kept, before[name])


def test_fresh_network_is_pruned_and_trained_in_one_schedule():
    data = np.random.default_rng(0)
    images = data.uniform(size=(32, 6, 6, 4)).astype("float32")
    labels = data.integers(0, 3, 32)
    pruned, history = ht.prune(
        driven.network(),
        (images, labels),
        ht.objectives.FGSM(epsilon=0.05),
        density=0.1,
        method="live_paths",
        prune_epochs=4,
        finetune_epochs=0,
    )
    kept = sum(
        np.count_nonzero(layer.kernel.numpy())
        for layer in pruned.layers
        if hasattr(layer, "kernel")
    )
    total = sum(
        np.size(layer.kernel) for layer in pruned.layers if layer.weights
    )
    assert 0.05 * total < kept <= 0.1 * total + 2
    assert history["prune"]["density"][0] > history["prune"]["density"][-1]
