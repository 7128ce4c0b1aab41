"""Choosing a part of a dataset: seeded, nested, fair to every class."""

from __future__ import annotations

import fractions
import math

import numpy as np


def select_fraction(
    labels: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Returns the rows of a selection with (nearly) the classes' shares.

    All rows are put in one order, and the first `ceil(fraction * n)` are taken,
    so a smaller fraction is contained in a larger one. In that order each class
    is spread evenly, its examples being shuffled by the seed.

    Args:
        labels: Integer array of shape `(n,)`.
        fraction: Float in (0, 1], taken at its decimal value.
        seed: Integer >= 0.

    Returns:
        Increasing row numbers, at least one.
    """
    # RandomState's streams are frozen for good, unlike those of Generator.
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffled[np.argsort(position[shuffled], kind="stable")]
    # In binary, 0.07 * 100 is above 7 and would take 8.
    count = math.ceil(fractions.Fraction(str(float(fraction))) * len(labels))
    return np.sort(order[:count])
