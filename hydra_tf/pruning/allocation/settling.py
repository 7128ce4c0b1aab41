"""Whole counts that add up to the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hydra_tf.masks import kept_count
from hydra_tf.pruning.allocation.pools import Pool


def target_count(pools: Sequence[Pool], density: float) -> int:
    """Returns how many entries all pools together keep, at least one each."""
    size = sum(pool.size for pool in pools)
    return max(kept_count(density, size), len(pools))


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
    """Moves whole counts to the exact total, at least one entry a pool.

    What is left over goes to (or comes from) the largest pools, where an
    entry more or less changes the density least.
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
