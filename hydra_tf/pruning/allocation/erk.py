"""The Erdos-Renyi-Kernel allocation: small layers keep more of theirs.

Reference:

- [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.allocation.pools import Pool
from hydra_tf.pruning.allocation.pools import Pools


def erk(
    model: keras.Model, density: float, *, nested: bool = False
) -> dict[str, float]:
    """Erdos-Renyi-Kernel: small layers keep more than large ones.

    Layers that share channels count as one, with the sums of their kernels'
    dimensions and sizes.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights, or of channels; see
            `hydra_tf.allocation.allocate`.
        nested: Whether no layer may keep more than it does now.

    Reference:

    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3
    """
    pools = Pools(model, density, nested=nested)
    if pools.structured:
        return pools.largest_first(_thresholds)
    shapes = [tuple(pool.group.leader.kernel.shape) for pool in pools]
    counts = [
        round(fraction * pool.size)
        for fraction, pool in zip(
            erk_densities(shapes, density), pools, strict=True
        )
    ]
    return pools.densities(_with_total(counts, pools))


def _with_total(counts: Sequence[int], pools: Pools) -> list[int]:
    """Moves rounded counts to the exact total, at least one a pool.

    What rounding left over goes to (or comes from) the largest pools, where a
    weight more or less changes the density least.
    """
    counts = [
        min(max(count, 1), pool.limit)
        for count, pool in zip(counts, pools, strict=True)
    ]
    total = max(pools.budget, len(pools))
    missing = min(total, sum(pool.limit for pool in pools)) - sum(counts)
    step = 1 if missing > 0 else -1
    bounds = [pool.limit if step > 0 else 1 for pool in pools]
    by_size = sorted(range(len(pools)), key=lambda i: (-pools[i].size, i))
    while missing:
        movable = [i for i in by_size if counts[i] != bounds[i]]
        share = max(abs(missing) // len(movable), 1)
        for i in movable:
            moved = step * min(share, abs(bounds[i] - counts[i]), abs(missing))
            counts[i] += moved
            missing -= moved
    return counts


def _thresholds(pool: Pool) -> np.ndarray:
    """The inverse of the scale from which on each channel is kept.

    A pool of `n` channels keeps `round(scale * ratio * n)`, so the one of
    number `j` (from 1) once that is `j - 1/2`.
    """
    shapes = [layer.kernel.shape for layer in pool.group.layers.values()]
    ratio = sum(map(sum, shapes)) / pool.group.weights
    return ratio * pool.size / (np.arange(pool.limit) + 0.5)


def erk_densities(
    shapes: Sequence[tuple[int, ...]], density: float
) -> list[float]:
    """Returns the unrounded ERK densities of kernels.

    A layer's density is proportional to the sum of its kernel's dimensions
    over their product; those that would exceed 1 are dense.

    Args:
        shapes: Kernel shapes, `(in, out)` or `(height, width, in, out)`.
        density: Float in (0, 1] of all weights together.
    """
    check_density(density)
    sizes = [math.prod(shape) for shape in shapes]
    ratios = [
        sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)
    ]
    dense: set[int] = set()
    while True:
        sparse = [i for i in range(len(shapes)) if i not in dense]
        budget = density * sum(sizes) - sum(sizes[i] for i in dense)
        scale = budget / max(sum(ratios[i] * sizes[i] for i in sparse), 1)
        over = {i for i in sparse if scale * ratios[i] > 1}
        if not over:
            break
        dense |= over
    return [
        1.0 if i in dense else scale * ratios[i] for i in range(len(shapes))
    ]
