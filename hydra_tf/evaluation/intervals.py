"""How sure an accuracy is that was measured on some images."""

from __future__ import annotations

import math

from scipy import special

from hydra_tf.errors import InputError

CONFIDENCE = 0.95


def wilson_interval(
    count: int, num_examples: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Returns Wilson's score interval of an accuracy.

    It holds the accuracy on all images that could have been drawn, with the
    probability `confidence`, also where few images or none are right.

    Args:
        count: Number of images that are right, from 0 to `num_examples`.
        num_examples: Integer >= 1, number of images.
        confidence: Float in (0, 1).

    Returns:
        Its ends, in [0, 1].

    Raises:
        InputError: If an argument is out of its range.

    Example:

    >>> low, high = wilson_interval(80, 100)
    >>> round(low, 4), round(high, 4)
    (0.7112, 0.8666)

    Reference:

    - [Wilson, 1927](https://doi.org/10.2307/2276774)
    """
    if not num_examples >= 1:
        raise InputError(
            "`num_examples` must be an integer >= 1. "
            f"Received: num_examples={num_examples!r}"
        )
    if not 0 <= count <= num_examples:
        raise InputError(
            "`count` must be from 0 to the number of images. "
            f"Received: count={count!r}, num_examples={num_examples!r}"
        )
    if not 0 < confidence < 1:
        raise InputError(
            "`confidence` must be between 0 and 1. "
            f"Received: confidence={confidence!r}"
        )
    z = float(special.ndtri((1 + confidence) / 2))
    share = count / num_examples
    centre = share + z**2 / (2 * num_examples)
    variance = share * (1 - share) / num_examples
    half = z * math.sqrt(variance + (z / (2 * num_examples)) ** 2)
    scale = 1 + z**2 / num_examples
    # Both ends are exact on paper, but not after rounding.
    low = 0.0 if count == 0 else (centre - half) / scale
    high = 1.0 if count == num_examples else (centre + half) / scale
    return low, high
