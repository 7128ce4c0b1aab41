"""The Erdos-Renyi-Kernel allocation: small layers keep more of theirs.

Reference:

- [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from hydra_tf.masks import check_density
from hydra_tf.pruning.allocation.pools import Pool
from hydra_tf.pruning.allocation.pools import allocation_of
from hydra_tf.pruning.allocation.pools import pools_of
from hydra_tf.pruning.allocation.settling import settle


def erk(model: keras.Model, density: float) -> dict[str, float]:
    """Erdos-Renyi-Kernel: small layers keep more than large ones.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights.

    Reference:

    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3
    """
    pools = pools_of(model)
    return allocation_of(pools, erk_counts(pools, density))


def erk_counts(pools: Sequence[Pool], density: float) -> list[int]:
    """Returns how many entries each pool keeps."""
    shapes = [tuple(pool.layers[0].kernel.shape) for pool in pools]
    counts = [
        round(fraction * pool.size)
        for fraction, pool in zip(
            erk_densities(shapes, density), pools, strict=True
        )
    ]
    return settle(counts, pools, density)


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
