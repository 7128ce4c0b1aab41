"""No point of a box lies outside its bounds, in random networks."""

import numpy as np
import tensorflow as tf
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import note
from hypothesis import settings
from hypothesis import strategies as st

import hydra_tf as ht
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.trace import trace
from tests.bounds.random_networks import Case
from tests.bounds.random_networks import draw_case
from tests.bounds.random_points import METHODS

# Rounding, as a share of the largest number that bounds a tensor.
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-11}


def values_of(graph, x):
    """Returns every value of a network's graph, computed in `x`'s dtype."""
    values = [x]
    for node in graph.nodes:
        values.append(node.operation(*(values[each] for each in node.inputs)))
    return values


def corners_and_points(lower, upper, random, number):
    """Returns points of the boxes, `(number, batch, ...)`."""
    share = random.random((number, *lower.shape))
    share[: number // 2] = np.round(share[: number // 2])
    share[0] = 0.5
    return lower + share * (upper - lower)


def attacked(graph, lower, upper, points, num_steps=6):
    """Returns points that PGD moved to where each output is large or small."""
    num_outputs = (
        values_of(graph, tf.constant(lower[:1]))[-1].shape[1:].num_elements()
    )
    signs = np.concatenate([np.eye(num_outputs), -np.eye(num_outputs)])
    number, batch = points.shape[:2]
    starts = np.tile(points, (-(-len(signs) // number), *[1] * (lower.ndim)))
    x = tf.constant(starts[: len(signs)])
    signs = tf.constant(np.repeat(signs, batch, axis=0))
    shape = [len(signs), *lower.shape[1:]]
    for step in range(num_steps):
        size = (upper - lower) * (0.5 if step < num_steps // 2 else 0.1)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = values_of(graph, tf.reshape(x, shape))[-1]
            outputs = tf.reshape(outputs, [len(signs), num_outputs])
            total = tf.reduce_sum(outputs * signs)
        gradient = tape.gradient(
            total, x, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        x = tf.clip_by_value(x + size * tf.sign(gradient), lower, upper)
    return x.numpy()


def assert_inside(values, ends, tolerance, what):
    """Checks `values` of shape `(points, batch, ...)`."""
    lower, upper = (end.numpy()[np.newaxis] for end in ends)
    assert np.all(np.isfinite(lower)) and np.all(np.isfinite(upper)), what
    slack = tolerance * max(1, np.abs(lower).max(), np.abs(upper).max())
    below, above = np.max(lower - values), np.max(values - upper)
    assert below <= slack and above <= slack, (
        f"{what}: {below} below, {above} above; slack {slack}"
    )


def check_soundness(case: Case, num_points=32) -> None:
    note(case.describe())
    random = np.random.default_rng(case.seed)
    graph = trace(case.model)
    points = corners_and_points(case.lower, case.upper, random, num_points)
    points = np.concatenate(
        [points, attacked(graph, case.lower, case.upper, points)]
    )
    flat = points.reshape(-1, *case.lower.shape[1:])

    def by_point(value):
        return value.numpy().reshape(len(points), -1, *value.shape[1:])

    values = [by_point(value) for value in values_of(graph, tf.constant(flat))]
    outputs = values[graph.output]
    np.testing.assert_allclose(
        outputs,
        by_point(case.model(flat.astype(np.float32))),
        rtol=1e-4,
        atol=1e-4 * max(1, np.abs(outputs).max()),
    )
    # The first activation that reads a layer reads what is meant by its name.
    numbers = {}
    for node in reversed(graph.nodes):
        if isinstance(node.operation, LeakyReLU | Monotone | Nonlinear):
            for number in reversed(node.inputs):
                numbers[graph.names[number]] = number
    spec = random.normal(size=(len(case.lower), 4, outputs.shape[-1]))
    by_spec = np.einsum("bso,pbo->pbs", spec, outputs)
    for dtype, tolerance in TOLERANCE.items():
        propagation = ht.bounds.BoundPropagation(
            case.model, case.lower.astype(dtype), case.upper.astype(dtype)
        )
        for method in METHODS:
            what = f"{method} in {dtype.__name__}"
            ends = propagation.bound(method)
            assert ends[0].dtype == dtype and ends[1].dtype == dtype
            assert_inside(outputs, ends, tolerance, what)
            ends = propagation.bound(method, spec.astype(dtype))
            assert_inside(by_spec, ends, tolerance, f"{what}, specification")
            if method == "crown_ibp":
                continue
            for layer, ends in propagation.intermediate(method).items():
                assert_inside(
                    values[numbers[layer]], ends, tolerance, f"{what}, {layer}"
                )


@settings(
    max_examples=9,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # Shrinking would take minutes.
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_no_point_is_outside_any_bound(data):
    check_soundness(draw_case(data.draw))
