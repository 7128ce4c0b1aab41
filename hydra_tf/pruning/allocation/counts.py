"""Whole counts that add up to the target."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from hydra_tf.ops.counts import check_density
from hydra_tf.ops.counts import kept_count
from hydra_tf.pruning.allocation.pools import Pool
from hydra_tf.pruning.allocation.pools import Pools
from hydra_tf.pruning.channels.costs import UnitCosts

# A sum of products that is meant as a whole number may lie just below it.
_ROUNDING = 1e-12


def counts_by_value(
    pools: Pools, density: float, values: Callable[[Pool], np.ndarray]
) -> list[int]:
    """Returns how many entries each pool keeps if the largest values stay.

    Args:
        pools: The pools.
        density: Float in (0, 1].
        values: Returns the values of a pool's entries, comparable between
            pools.
    """
    check_density(density)
    vectors = [values(pool) for pool in pools]
    if pools.structured:
        return counts_of_units(pools, density, vectors)
    counts = count_largest(vectors, target_count(pools, density))
    return settle(counts, pools, density)


def counts_of_units(
    pools: Pools, density: float, values: Sequence[np.ndarray]
) -> list[int]:
    """Returns how many channels each pool keeps, the largest values first.

    Each keeps at least one. What the channels kept leave of the kernels does
    not exceed what the same density of all channels, not rounded, would leave;
    and no further channel fits.

    Args:
        pools: Pools of channels.
        density: Float in (0, 1] of the channels.
        values: Those of each pool's channels.
    """
    costs = UnitCosts(pools.model)
    budget = unit_budget(costs, density)
    # The first of each pool is not up for choice.
    rest = [np.sort(vector)[::-1][1:] for vector in values]
    owner: np.ndarray = np.repeat(
        np.arange(len(rest)), [len(vector) for vector in rest]
    )
    # Stable: ties go to the earlier pool.
    queue = owner[np.argsort(-np.concatenate(rest), kind="stable")]

    def first(number: int) -> list[int]:
        taken = np.bincount(queue[:number], minlength=len(pools))
        return (1 + taken).tolist()

    fits, too_many = 0, len(queue) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if costs.of(first(middle)) <= budget:
            fits = middle
        else:
            too_many = middle
    counts = first(fits)
    full: set[int] = set()
    for pool in queue[fits:].tolist():
        if pool in full:
            continue
        counts[pool] += 1
        # What does not fit now does not later: costs only grow.
        if costs.of(counts) > budget:
            counts[pool] -= 1
            full.add(pool)
            if len(full) == len(pools):
                break
    return counts


def unit_budget(costs: UnitCosts, density: float) -> int:
    """Returns the most that channels may cost at a density.

    What that fraction of the channels of every layer, not rounded, would cost.
    """
    return math.floor(costs.at(float(density)) * (1.0 + _ROUNDING))


def target_count(pools: Sequence[Pool], density: float) -> int:
    """Returns how many weights all pools together keep, at least one each."""
    size = sum(pool.size for pool in pools)
    limit = sum(pool.limit for pool in pools)
    return min(max(kept_count(density, size), len(pools)), limit)


def count_largest(values: Sequence[np.ndarray], number: int) -> list[int]:
    """Returns how many of the `number` largest values lie in each vector.

    Values that tie at the threshold are taken from the earlier vectors.
    """
    everything = np.concatenate(values)
    if number >= everything.size:
        return [vector.size for vector in values]
    place = everything.size - number
    threshold = np.partition(everything, place)[place]
    counts = [int(np.sum(vector > threshold)) for vector in values]
    ties_left = number - sum(counts)
    for index, vector in enumerate(values):
        taken = min(int(np.sum(vector == threshold)), ties_left)
        counts[index] += taken
        ties_left -= taken
    return counts


def settle(
    counts: Sequence[int], pools: Sequence[Pool], density: float
) -> list[int]:
    """Moves counts of weights to the exact total, at least one a pool.

    What is left over goes to (or comes from) the largest pools, where a
    weight more or less changes the density least.
    """
    settled = [
        min(max(int(count), 1), pool.limit)
        for count, pool in zip(counts, pools, strict=True)
    ]
    missing = target_count(pools, density) - sum(settled)
    step = 1 if missing > 0 else -1
    bounds = [pool.limit if step > 0 else 1 for pool in pools]
    by_size = sorted(range(len(pools)), key=lambda i: (-pools[i].size, i))
    while missing:
        movable = [i for i in by_size if settled[i] != bounds[i]]
        share = max(abs(missing) // len(movable), 1)
        for i in movable:
            moved = step * min(share, abs(bounds[i] - settled[i]), abs(missing))
            settled[i] += moved
            missing -= moved
    return settled
