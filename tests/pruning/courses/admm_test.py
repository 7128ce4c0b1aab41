"""Weights are drawn to the sparse ones next to them, then pruned."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests.pruning.courses import driven

pytestmark = pytest.mark.usefixtures("without_tracing")


def test_penalty_is_the_distance_from_the_projection():
    course = driven.course_of("r_admm", density=0.25, admm_rho=0.2)
    expected = 0.0
    for layer in ht.masked_layers(course.network).values():
        kernel = np.asarray(layer.kernel)
        threshold = np.sort(np.abs(kernel).ravel())[-kernel.size // 4]
        small = kernel[np.abs(kernel) < threshold]
        expected += 0.2 / 2 * np.sum(small**2)
    assert sum(course.network.losses).numpy() == pytest.approx(expected, 1e-4)


def test_dual_is_the_sum_of_the_distances():
    course = driven.course_of("r_admm", density=0.25)
    layer = ht.masked_layers(course.network)["logits"]
    dual, kernel = np.zeros(layer.kernel.shape), np.asarray(layer.kernel)
    for step in (2, 4):
        course.update(step)
        moved = kernel + dual
        size = -(-moved.size // 4)
        threshold = np.sort(np.abs(moved).ravel())[-size]
        dual += kernel - np.where(np.abs(moved) >= threshold, moved, 0)
    distances = kernel - np.where(np.abs(moved) >= threshold, moved, 0) + dual
    penalty = layer.kernel.regularizer(layer.kernel)
    assert penalty.numpy() == pytest.approx(
        0.01 / 2 * np.sum(distances**2), 1e-4
    )


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_last_renewal_prunes_and_ends_the_penalty(granularity):
    course = driven.course_of("r_admm", density=0.5, granularity=granularity)
    logs = [driven.run_epoch(course, epoch) for epoch in range(course.epochs)]
    assert [each["density"] for each in logs[:7]] == [1.0] * 7
    assert logs[0]["admm_distance"] > 0 and "admm_distance" not in logs[7]
    assert logs[7]["density"] == logs[9]["density"] < 1
    assert course.at_target
    assert sum(course.network.losses) == 0
    course.finish()
    assert not course.network.losses
    report = ht.sparsity_report(course.network)
    assert report.density == logs[9]["density"]


def test_penalty_draws_weights_to_the_projection():
    course = driven.course_of(
        "r_admm", density=0.25, admm_rho=1.0, steps_per_epoch=9
    )
    before = course.figures()["admm_distance"]
    logs = driven.run_epoch(course, 0, move=descend)
    assert 0 < logs["admm_distance"] < 0.1 * before


def descend(course, seed):
    """A step of gradient descent on the penalty alone."""
    del seed
    for layer in ht.masked_layers(course.network).values():
        kernel = layer.kernel.value
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            penalty = layer.kernel.regularizer(kernel)
        layer.kernel.assign_sub(0.3 * tape.gradient(penalty, kernel))


def test_own_regularizer_of_a_kernel_stays():
    course = driven.course_of("r_admm", density=1.0)
    layer = ht.masked_layers(course.network)["logits"]
    course.finish()
    layer.kernel.regularizer = keras.regularizers.L2(1.0)
    squares = np.sum(np.asarray(layer.kernel) ** 2)
    course.begin()
    # At density 1 there is nothing to be drawn to.
    assert float(sum(course.network.losses)) == pytest.approx(squares)
    course.finish()
    assert float(sum(course.network.losses)) == pytest.approx(squares)
