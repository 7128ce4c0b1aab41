"""Choosing a part of a dataset: seeded, nested, of an exact size."""

from __future__ import annotations

import numpy as np

from hydra_tf.ops.counts import kept_count


def select_fraction(
    labels: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Returns the rows of a selection with (nearly) the classes' shares.

    The first `ceil(fraction * n)` of `spread_order` are taken, so a smaller
    fraction is contained in a larger one.

    Args:
        labels: Integer array of shape `(n,)`.
        fraction: Float in (0, 1].
        seed: Integer >= 0.

    Returns:
        Increasing row numbers, at least one.
    """
    order = spread_order(labels, seed)
    return np.sort(order[: kept_count(fraction, len(labels))])


def spread_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns all rows in an order in which each class is spread evenly.

    The examples of a class are shuffled by the seed.

    Args:
        labels: Integer array of shape `(n,)`.
        seed: Integer >= 0.
    """
    # RandomState's streams are frozen for good, unlike those of Generator.
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(position[shuffled], kind="stable")]


def hold_out(
    labels: np.ndarray, fraction: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows to train on and those held out for testing.

    They depend on the labels alone, so that no seed tests on what another
    trained on. A class with one example is trained on.

    Args:
        labels: Integer array of shape `(n,)`.
        fraction: Float in (0, 0.5], the share that is held out.
    """
    rows = select_fraction(labels, fraction, seed=0)
    sizes = np.bincount(labels)
    tested: np.ndarray = np.zeros(len(labels), bool)
    tested[rows[sizes[labels[rows]] > 1]] = True
    return np.flatnonzero(~tested), np.flatnonzero(tested)


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
