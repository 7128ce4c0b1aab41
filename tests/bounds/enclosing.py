"""Whether functions stay between what encloses them, at random points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Coefficients

# Rounding, as a share of the largest number that a bound is added up from.
TOLERANCE = {tf.float32: 3e-6, tf.float64: 1e-13}


def random_box(shape, dtype, radius, seed=0, *, scale=1.0):
    """Returns a box `(batch, *shape)`, some entries of which are fixed."""
    random = np.random.default_rng(seed)
    center = scale * random.normal(size=shape)
    widths = radius * random.random(shape) * (random.random(shape) > 0.2)
    return Interval(
        tf.constant(center - widths, dtype), tf.constant(center + widths, dtype)
    )


def points_in(boxes, number, seed=1):
    """Returns points of boxes, `(number, *shape)` each; half are corners."""
    random = np.random.default_rng(seed)
    points = []
    for box in boxes:
        lower, upper = (end.numpy() for end in box.ends)
        share = random.random((number, *lower.shape)).astype(lower.dtype)
        share[::2] = np.round(share[::2])
        share[0] = 0.5
        inside = lower + share * (upper - lower)
        points.append(np.clip(inside, lower, upper))
    return points


def unit_rows(shape, dtype):
    """Returns a row for every entry of a value."""
    size = math.prod(shape)
    return tf.reshape(tf.eye(size, dtype=dtype), [1, size, *shape])


def check_encloses(
    operation: Any, boxes: Any, points: Any = None, number: int = 64
) -> tuple[Any, Any]:
    """Checks the interval and the enclosure of an operation.

    Args:
        operation: A `Nonlinear`.
        boxes: Boxes of its inputs.
        points: Points of them; by default random ones.
        number: How many of those.

    Returns:
        Mean widths of the interval, and of the enclosure at the centre.
    """
    points = points or points_in(boxes, number)
    dtype = boxes[0].dtype
    values = np.stack(
        [
            operation(*map(tf.constant, each))
            for each in zip(*points, strict=True)
        ]
    )
    limits = operation.interval(*boxes)
    scale = TOLERANCE[dtype] * max(1.0, np.abs(values).max())
    assert np.all(limits.lower - scale <= values), "below the interval"
    assert np.all(values <= limits.upper + scale), "above the interval"
    shape = limits.lower.shape[1:]
    rows = unit_rows(shape, dtype)
    enclosure = operation.enclose(*boxes)
    shapes = [box.shape for box in boxes]
    before, ends = enclosure.apply(operation, Coefficients(rows, rows), shapes)
    flat = values.reshape(*values.shape[:2], -1)
    for side, sign in (("lower", 1), ("upper", -1)):
        constant = ends[side == "upper"].numpy()
        total, size = constant[np.newaxis], np.abs(constant)[np.newaxis]
        middle = constant
        for each, point, box in zip(before, points, boxes, strict=True):
            coefficients = getattr(each, side).numpy()
            coefficients = coefficients.reshape(*coefficients.shape[:2], -1)
            point = point.reshape(*point.shape[:2], -1)
            term = np.einsum("brn,pbn->pbr", coefficients, point)
            size = size + np.einsum(
                "brn,pbn->pbr", np.abs(coefficients), np.abs(point)
            )
            total = total + term
            center = box.center.numpy().reshape(len(constant), -1)
            middle = middle + np.einsum("brn,bn->br", coefficients, center)
        slack = TOLERANCE[dtype] * np.maximum(1, size)
        assert np.all(np.isfinite(total)), side
        assert np.all(sign * (flat - total) >= -slack), (
            f"{side}: {np.max(-sign * (flat - total))}"
        )
        if side == "lower":
            below = middle
    return (
        float(np.mean(limits.upper - limits.lower)),
        float(np.mean(middle - below)),
    )
