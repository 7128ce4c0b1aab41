"""The learned density of a layer as a function of its trainable rate.

Reference:

- [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
  section 3.2
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.ops.counts import check_density

# A density at the bounds would need an infinite rate.
_LEAST, _MOST = 0.001, 0.999


def density_of_rate(rate: Any, min_density: float) -> tf.Tensor:
    """Returns `min_density + (1 - min_density) * sigmoid(rate)`.

    Args:
        rate: Float tensor of any shape.
        min_density: Float in [0, 1), the density of a rate of minus infinity.
    """
    rate = tf.convert_to_tensor(rate)
    return min_density + (1.0 - min_density) * tf.sigmoid(rate)


def rate_of_density(density: float, min_density: float) -> float:
    """Returns the rate that stands for a density: the inverse.

    Densities within a thousandth of the range's ends become that near.

    Args:
        density: Float in (0, 1].
        min_density: Float in [0, 1).

    Example:

    >>> round(rate_of_density(0.505, min_density=0.01), 6)
    0.0
    """
    check_density(density)
    check_min_density(min_density)
    share = (float(density) - min_density) / (1.0 - min_density)
    share = min(max(share, _LEAST), _MOST)
    return math.log(share / (1.0 - share))


def check_min_density(value: Any) -> None:
    """Raises `InputError` unless a number is in [0, 1)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0.0 <= value < 1.0
    ):
        raise InputError(
            "`min_density` must be in [0, 1): it is the least density that a "
            f"layer may learn. Received: min_density={value!r}"
        )
