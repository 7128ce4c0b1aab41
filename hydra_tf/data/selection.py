"""Choosing a part of a dataset: seeded, nested, of an exact size."""

from __future__ import annotations

import numpy as np

from hydra_tf.ops.counts import kept_count


def select_fraction(
    labels: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Returns the rows of a selection with (nearly) the classes' shares.

    All rows are put in one order, and the first `ceil(fraction * n)` are taken,
    so a smaller fraction is contained in a larger one. In that order each class
    is spread evenly, its examples being shuffled by the seed.

    Args:
        labels: Integer array of shape `(n,)`.
        fraction: Float in (0, 1].
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
    return np.sort(order[: kept_count(fraction, len(labels))])


def select_run(num_examples: int, fraction: float, seed: int) -> list[slice]:
    """Returns a selection that lies together, for examples in random order.

    It begins at a place that follows from the seed, and continues at the start
    when it reaches the end. A smaller fraction is contained in a larger one.

    Args:
        num_examples: Integer >= 1.
        fraction: Float in (0, 1].
        seed: Integer >= 0.

    Returns:
        One or two ranges of rows, the lower first; together `kept_count` rows.
    """
    count = kept_count(fraction, num_examples)
    if count == num_examples:
        return [slice(0, num_examples)]
    start = int(np.random.RandomState(seed).randint(num_examples))
    beyond = start + count - num_examples
    if beyond <= 0:
        return [slice(start, start + count)]
    return [slice(0, beyond), slice(start, num_examples)]
