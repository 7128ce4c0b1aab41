"""Bounds by every method, and their gradients, to compare with others."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import hydra_tf as ht
from tests.bounds.random_points import METHODS
from tests.bounds.random_points import bounds_by


def all_bounds(network: Any, box: Any) -> dict[str, Any]:
    """Returns every bound by every method."""
    made = ht.bounds.BoundPropagation(network, *box)
    return {
        method: (made.bound(method), made.intermediate(method))
        for method in METHODS
    }


def assert_close(some: Any, others: Any, tolerance: float = 1e-4) -> None:
    """Compares tensors, with a tolerance for the largest entry of each."""
    for one, other in zip(
        tf.nest.flatten(some), tf.nest.flatten(others), strict=True
    ):
        scale = max(1, np.abs(one).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def gradients(network: Any, box: Any, method: str, dtype: Any = np.float32):
    """Returns a sum of bounds and its gradients to weights and boxes."""
    lower, upper = (tf.constant(end.astype(dtype)) for end in box)
    random = np.random.default_rng(5)
    shares = random.normal(size=(2, len(box[0]), 4)).astype(dtype)
    weights = [weight.value for weight in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([lower, upper])
        ends = bounds_by(method, network, lower, upper)
        total = tf.add_n(
            [tf.reduce_sum(e * s) for e, s in zip(ends, shares, strict=True)]
        )
    return total, tape.gradient(total, [*weights, lower, upper])
