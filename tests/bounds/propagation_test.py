"""Tests of bounds as a whole: what holds of them by every method."""

import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.bounds import neurons
from tests.bounds.comparisons import all_bounds
from tests.bounds.comparisons import assert_close
from tests.bounds.comparisons import gradients
from tests.bounds.random_points import METHODS
from tests.bounds.random_points import bounds_by
from tests.bounds.random_points import random_box
from tests.bounds.random_points import residual_network


@pytest.fixture(scope="module")
def network():
    return residual_network()


@pytest.fixture(scope="module")
def box(network):
    return random_box(network, batch=3)


@pytest.mark.parametrize("method", METHODS)
def test_boxes_of_one_point_have_the_outputs_as_bounds(network, method):
    x, _ = random_box(network, radius=0)
    outputs = network(x)
    for end in bounds_by(method, network, x, x):
        np.testing.assert_allclose(end, outputs, rtol=1e-5, atol=1e-5)
    double = x.astype(np.float64)
    for low, high in zip(
        *bounds_by(method, network, double, double), strict=True
    ):
        np.testing.assert_allclose(low, high, rtol=1e-12, atol=1e-12)


def test_a_specification_is_tighter_merged_than_from_outputs(network, box):
    spec = np.array([[[1.0, -1.0, 0.0, 0.0], [0.5, 0.0, 2.0, -1.0]]])
    positive, negative = np.maximum(spec, 0)[0], np.minimum(spec, 0)[0]
    for method in METHODS:
        lower, upper = bounds_by(method, network, *box)
        merged = bounds_by(method, network, *box, spec)
        apart = lower @ positive.T + upper @ negative.T
        assert np.all(merged[0] >= apart - 1e-4)
        assert np.mean(merged[0] - apart) > 1e-2


@pytest.mark.parametrize("method", METHODS)
def test_specifications_of_one_and_of_every_image(network, box, method):
    spec = np.random.default_rng(0).normal(size=(3, 2, 4))
    every = bounds_by(method, network, *box, spec)
    for i in range(3):
        one = bounds_by(method, network, *box, spec[i : i + 1])
        assert one[0].shape == (3, 2)
        for end, ends in zip(one, every, strict=True):
            np.testing.assert_allclose(end[i], ends[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_lower_bounds_alone_are_those_of_both(method):
    network = residual_network(small=True)
    made = ht.bounds.BoundPropagation(network, *random_box(network))
    spec = np.random.default_rng(0).normal(size=(1, 2, 4))
    for given in (spec, None):
        both, alone = (
            made.bound(method, given, upper=upper) for upper in (True, False)
        )
        np.testing.assert_allclose(alone[0], both[0], rtol=1e-5, atol=1e-5)
        assert alone[1] is None


def test_float64_agrees_with_float32(network, box):
    double = all_bounds(network, [end.astype(np.float64) for end in box])
    assert {end.dtype for end in tf.nest.flatten(double)} == {tf.float64}
    assert_close(double, all_bounds(network, box))


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_boxes_are_those_of_finite_differences(network, method):
    box = [end.astype(np.float64) for end in random_box(network, batch=2)]
    _, found = gradients(network, box, method, np.float64)
    random = np.random.default_rng(6)
    step = 1e-6
    for which in (0, 1):
        direction = random.normal(size=box[which].shape)
        totals = []
        for sign in (1, -1):
            moved = list(box)
            moved[which] = box[which] + sign * step * direction
            totals.append(gradients(network, moved, method, np.float64)[0])
        np.testing.assert_allclose(
            np.sum(found[which - 2] * direction),
            (totals[0] - totals[1]) / (2 * step),
            rtol=1e-4,
        )


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_weights_are_those_of_finite_differences(method):
    network = residual_network(seed=3)
    box = random_box(network, batch=2)
    _, found = gradients(network, box, method, np.float64)
    weights = network.trainable_variables
    before = [weight.numpy() for weight in weights]
    # Every weight moves the bounds the same way, so that nothing cancels.
    directions = [np.sign(gradient) for gradient in found[: len(weights)]]
    totals, moved = [], []
    for step in (1e-4, -1e-4):
        for weight, value, sign in zip(
            weights, before, directions, strict=True
        ):
            weight.assign(value + step * sign)
        totals.append(gradients(network, box, method, np.float64)[0])
        moved.append([weight.numpy().astype(np.float64) for weight in weights])
    change = sum(
        np.sum(gradient * (plus - minus))
        for gradient, plus, minus in zip(found, *moved, strict=False)
    )
    np.testing.assert_allclose(change, totals[0] - totals[1], rtol=1e-2)


def test_gradients_reach_scores_of_masks():
    network = ht.to_masked(residual_network(), density=0.5)
    ht.set_phase(network, "prune")
    _, found = gradients(network, random_box(network), "crown_ibp")
    for weight, gradient in zip(
        network.trainable_variables, found, strict=False
    ):
        assert np.any(gradient != 0), weight.path


def test_two_replicas_bound_their_images():
    network = residual_network(small=True)
    box = random_box(network, batch=4)
    expected = ht.bounds.crown(network, *box)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = residual_network(small=True)

    @tf.function
    def bounds(lower, upper):
        return strategy.run(
            lambda low, high: ht.bounds.crown(mirrored, low, high),
            (lower, upper),
        )

    def halves(end):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                end[2 * context.replica_id_in_sync_group :][:2]
            )
        )

    ends = bounds(*map(halves, box))
    for end, other in zip(ends, expected, strict=True):
        together = tf.concat(strategy.experimental_local_results(end), 0)
        np.testing.assert_allclose(together, other, rtol=1e-4, atol=1e-4)


def test_layers_are_bounded_once_for_all_specifications(monkeypatch, network):
    calls = []
    refine = neurons.refine
    monkeypatch.setattr(
        neurons, "refine", lambda *args: calls.append(1) or refine(*args)
    )
    made = ht.bounds.BoundPropagation(network, *random_box(network))
    for spec in (None, np.ones((1, 1, 4))):
        made.bound("crown", spec)
        made.bound("best", spec)
    made.intermediate("crown")
    assert len(calls) == 1
