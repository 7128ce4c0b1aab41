"""How many entries a density keeps: the one rule.

A density that is meant as a decimal (0.1) or as a ratio of counts (37 / n)
carries its rounding error into `density * n`, and so do sums of such products.
What lies within that error of a whole number is that number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError

# Relative error of a product with a density, in machine epsilons of its dtype.
_PRODUCT_EPSILONS = 4.0

# A complement (1 - 0.999) carries the absolute error of a number near 1.
_COMPLEMENT_ERROR = float(np.finfo(np.float64).eps)

# Relative error of a sum of up to a thousand products of densities. A total of
# less than 10^11 is not taken for the next one.
_SUM_ERROR = 1e-12


def check_density(density: Any, name: str = "density") -> None:
    """Raises `InputError` unless `density` is a number in (0, 1]."""
    try:
        value = math.nan if isinstance(density, str | bool) else float(density)
    except (TypeError, ValueError):
        value = math.nan
    if not 0.0 < value <= 1.0:
        raise InputError(
            f"`{name}` must be in (0, 1]: it is the fraction of weights kept "
            f"(for a sparsity, pass 1 - sparsity). Received: {name}={density!r}"
        )


def kept_count(density: float, size: int) -> int:
    """Returns how many of `size` entries a mask of this density keeps.

    That is `ceil(density * size)` as in exact arithmetic, at least one: 0.9 of
    10 keeps 9 although the float product exceeds 9.

    Args:
        density: Number in (0, 1], fraction of entries kept.
        size: Integer >= 1, number of entries.

    Raises:
        InputError: If `density` is outside (0, 1].

    Example:

    >>> kept_count(0.9, 10), kept_count(0.01, 36_864)
    (9, 369)
    """
    check_density(density)
    product = float(density) * size
    nearest = round(product)
    if abs(product - nearest) <= _tolerance(product, size, _dtype(density)):
        return max(nearest, 1)
    return max(math.ceil(product), 1)


def kept_count_of_tensor(density: tf.Tensor, size: int) -> tf.Tensor:
    """`kept_count` for a density that is only known when a graph runs.

    Args:
        density: Scalar float tensor in (0, 1].
        size: Integer >= 1, number of entries.

    Returns:
        Int32 scalar tensor.

    Raises:
        InputError: If `density` is outside (0, 1] (when executing eagerly; in a
            graph `tf.errors.InvalidArgumentError`).
    """
    if tf.executing_eagerly():
        return tf.constant(kept_count(density.numpy(), size))
    return _traced_count(density.dtype)(density, tf.cast(size, tf.float64))


@functools.cache
def _traced_count(dtype: tf.DType) -> Callable[..., tf.Tensor]:
    """Returns the count as one function, for dozens of masks."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([], dtype),
            tf.TensorSpec([], tf.float64),
        ],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def count_of(density, size):
        assertion = tf.debugging.Assert(
            tf.logical_and(density > 0, density <= 1),
            ["`density` must be in (0, 1]. Received:", density],
        )
        with tf.control_dependencies([assertion]):
            product = tf.cast(density, tf.float64) * size
        nearest = tf.round(product)
        tolerance = _tolerance(product, size, dtype.as_numpy_dtype)
        is_whole = tf.abs(product - nearest) <= tolerance
        count = tf.where(is_whole, nearest, tf.math.ceil(product))
        return tf.cast(tf.clip_by_value(count, 1.0, size), tf.int32)

    return count_of


def keeps_one(density: float, size: int) -> bool:
    """Whether a density is at least one of `size` entries, not rounded up.

    Args:
        density: Number >= 0, fraction of entries kept.
        size: Integer >= 1, number of entries.

    Example:

    >>> keeps_one(1 / 49, 49), keeps_one(0.02, 49)
    (True, False)
    """
    product = float(density) * size
    return product >= 1.0 - _tolerance(1.0, size, _dtype(density))


def whole_budget(total: float) -> int:
    """Returns the most whole entries that fit into a total of densities.

    Args:
        total: Float >= 0, a sum of products of densities and counts, which may
            lie just below the whole number that it is meant as.

    Example:

    >>> whole_budget(0.1 * 3 * 10), whole_budget(0.7 * 10 + 0.1 * 10)
    (3, 8)
    """
    return math.floor(total * (1.0 + _SUM_ERROR))


def _dtype(density: Any) -> Any:
    return np.asarray(density).dtype


def _tolerance(product: Any, size: int, dtype: Any) -> Any:
    """How far `density * size` may be from the number that it is meant as."""
    epsilon = _PRODUCT_EPSILONS * _machine_epsilon(dtype)
    return epsilon * product + _COMPLEMENT_ERROR * size


def _machine_epsilon(dtype: Any) -> float:
    if np.issubdtype(dtype, np.integer):
        return 0.0
    if dtype == np.object_:  # a fraction or decimal, which becomes a float
        dtype = np.float64
    # NumPy's `finfo` does not know bfloat16.
    one, two = np.asarray([1, 2], dtype)
    return float(np.nextafter(one, two)) - 1.0
