"""From densities to whole counts that meet a target.

Two algorithms fit counts to a target, because allocations and HARP know
different things. An allocation has a value for each weight or channel, so the
largest values of all stay (`largest_first`). HARP has learned a count for each
layer, and only the counts' proportions are to stay (`cut_in_proportion`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from hydra_tf.ops.counts import kept_count
from hydra_tf.ops.counts import whole_budget
from hydra_tf.pruning.channels.costs import UnitCosts


def budget_at(costs: UnitCosts, density: float) -> int:
    """Returns the most that what is kept may cost at a density.

    Of single weights that is what a mask over all of them would keep, rounded
    up; of FLOPs and of channels, what that fraction of the units of every
    group, not rounded, would cost.

    Args:
        costs: The costs.
        density: Float in (0, 1].
    """
    if costs.counts_weights:
        return kept_count(density, costs.total)
    return whole_budget(costs.at(float(density)))


def largest_first(
    values: Sequence[np.ndarray],
    cost: Callable[[Sequence[int]], int],
    budget: int,
) -> list[int]:
    """Returns how many entries each vector keeps if the largest values stay.

    Each keeps at least one, whatever the budget; beyond that the cost does not
    exceed it, and no further entry fits.

    Args:
        values: The values of each vector's entries, comparable between them.
            Of equal ones those of earlier vectors come first.
        cost: Function of counts that grows with each of them.
        budget: What they may cost.

    Example:

    >>> values = [np.array([3.0, 1.0]), np.array([2.0, 0.5, 4.0])]
    >>> largest_first(values, sum, 3)
    [1, 2]
    """
    # The first of each is not up for choice.
    rest = [np.sort(vector)[::-1][1:] for vector in values]
    owner: np.ndarray = np.repeat(
        np.arange(len(rest)), [len(vector) for vector in rest]
    )
    # Stable: ties go to the earlier vector.
    queue = owner[np.argsort(-np.concatenate(rest), kind="stable")]

    def first(number: int) -> list[int]:
        taken = np.bincount(queue[:number], minlength=len(values))
        return (1 + taken).tolist()

    fits, too_many = 0, len(queue) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if cost(first(middle)) <= budget:
            fits = middle
        else:
            too_many = middle
    counts = first(fits)
    full: set[int] = set()
    for index in queue[fits:].tolist():
        if index in full:
            continue
        counts[index] += 1
        # What does not fit now does not later: costs only grow.
        if cost(counts) > budget:
            counts[index] -= 1
            full.add(index)
            if len(full) == len(values):
                break
    return counts


def largest_weights_first(
    values: Sequence[np.ndarray], number: int
) -> list[int]:
    """Returns what `largest_first` does where each entry costs 1.

    In linear time: networks have millions of weights.

    Args:
        values: As for `largest_first`.
        number: How many entries stay.
    """
    rest: list[np.ndarray] = [
        np.delete(vector, np.argmax(vector)) for vector in values
    ]
    everything = np.concatenate(rest)
    number = max(number - len(values), 0)
    if number >= everything.size:
        return [vector.size for vector in values]
    if not number:
        return [1] * len(values)
    place = everything.size - number
    threshold = np.partition(everything, place)[place]
    counts = [int(np.sum(vector > threshold)) for vector in rest]
    ties_left = number - sum(counts)
    for index, vector in enumerate(rest):
        taken = min(int(np.sum(vector == threshold)), ties_left)
        counts[index] += taken
        ties_left -= taken
    return [1 + count for count in counts]


def cut_in_proportion(
    counts: Sequence[int],
    least: Sequence[int],
    cost: Callable[[Sequence[int]], int],
    budget: int,
) -> list[int]:
    """Lowers whole counts in proportion until their cost is within a budget.

    Args:
        counts: What to lower.
        least: What each keeps at least; together within the budget.
        cost: Function of counts that grows with each of them.
        budget: What the cost of the result does not exceed.

    Returns:
        Counts between `least` and `counts`; `counts` themselves if they are
        within the budget.

    Example:

    >>> cut_in_proportion([10, 5, 1], [1, 1, 1], sum, 8)
    [5, 2, 1]
    """
    if cost(counts) <= budget:
        return list(counts)

    def scaled(scale: float) -> list[int]:
        return [
            max(math.floor(scale * count), bound)
            for count, bound in zip(counts, least, strict=True)
        ]

    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if cost(scaled(middle)) <= budget:
            low = middle
        else:
            high = middle
    result = scaled(low)
    # Rounded, so that a tie goes to the first and not to a rounding error.
    parts = [round(low * count % 1.0, 6) for count in counts]
    for index in sorted(range(len(counts)), key=lambda i: (-parts[i], i)):
        # One at its least may have more than its share already.
        if result[index] <= min(low * counts[index], counts[index] - 1):
            result[index] += 1
            if cost(result) > budget:
                result[index] -= 1
    return result
