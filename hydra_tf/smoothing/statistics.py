"""Confidence bounds, tests and radii from counts of noisy predictions."""

from __future__ import annotations

import numpy as np
from scipy import special

from hydra_tf.errors import InputError

ABSTAIN = -1


def lower_confidence_bound(
    count: int | np.ndarray, n: int | np.ndarray, alpha: float | np.ndarray
) -> np.ndarray:
    """Returns Clopper and Pearson's lower bound on a probability.

    With probability `1 - alpha` over the draws the true probability of an
    outcome that was seen `count` times in `n` independent draws is at least
    this bound. It is the `alpha` quantile of `Beta(count, n - count + 1)`.

    Args:
        count: Integers from 0 to `n`.
        n: Integers >= 1, of a shape that broadcasts with `count`.
        alpha: Floats in (0, 1), the probability of being wrong.

    Returns:
        Float64 array of the common shape, in [0, 1).

    Raises:
        InputError: If an argument is out of its range.

    Example:

    >>> round(float(lower_confidence_bound(10_000, 10_000, 0.001)), 6)
    0.999309
    """
    count, n, alpha = map(np.asarray, (count, n, alpha))
    if not np.all(n >= 1):
        raise InputError(f"`n` must be an integer >= 1. Received: n={n}")
    if not np.all((count >= 0) & (count <= n)):
        raise InputError(
            "`count` must be from 0 to the number of draws. "
            f"Received: count={count}, n={n}"
        )
    if not np.all((alpha > 0) & (alpha < 1)):
        raise InputError(
            f"`alpha` must be between 0 and 1. Received: alpha={alpha}"
        )
    bound = special.betaincinv(np.maximum(count, 1), n - count + 1, alpha)
    return np.where(count == 0, 0.0, bound)


def binomial_p_value(
    count1: int | np.ndarray, count2: int | np.ndarray
) -> np.ndarray:
    """Returns the p-value of two outcomes being equally likely.

    The exact two-sided binomial test of `count1` of `count1 + count2` draws
    against a probability of one half; 1 if there were no draws.

    Args:
        count1: Integers >= 0.
        count2: Integers >= 0.

    Returns:
        Float64 array of the common shape, in [0, 1].

    Example:

    >>> float(binomial_p_value(9, 1)).__round__(6)
    0.021484
    """
    count1, count2 = np.asarray(count1), np.asarray(count2)
    draws = np.maximum(count1 + count2, 1)
    # One half makes the distribution symmetric: both tails are alike, and
    # overlap if the counts are equal.
    tail = special.bdtr(np.minimum(count1, count2), draws, 0.5)
    return np.where(count1 == count2, 1.0, np.minimum(2 * tail, 1.0))


def certified_radius(
    lower_bound: float | np.ndarray, sigma: float
) -> np.ndarray:
    """Returns the L2 radius `sigma * Phi^-1(lower_bound)`, at least 0.

    Args:
        lower_bound: Lower bounds on the probability of the predicted class
            under Gaussian noise, in [0, 1]. At one half or less nothing is
            proved, and the radius is 0.
        sigma: Float > 0, standard deviation of the noise.

    Example:

    >>> certified_radius([0.4, 0.8413447], sigma=0.5).round(3).tolist()
    [0.0, 0.5]
    """
    lower_bound = np.maximum(np.asarray(lower_bound, np.float64), 0.5)
    return sigma * special.ndtri(lower_bound)
