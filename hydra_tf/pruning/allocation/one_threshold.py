"""The global allocation: one threshold for the values of all layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from hydra_tf.errors import InputError
from hydra_tf.masks import check_density
from hydra_tf.pruning.allocation.pools import Pool
from hydra_tf.pruning.allocation.pools import allocation_of
from hydra_tf.pruning.allocation.pools import pools_of
from hydra_tf.pruning.allocation.settling import count_largest
from hydra_tf.pruning.allocation.settling import settle
from hydra_tf.pruning.allocation.settling import target_count


def global_threshold(
    model: keras.Model, density: float, *, by: str = "magnitude"
) -> dict[str, float]:
    """Keeps the largest values of all layers together: one threshold.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights.
        by: What is compared over the layers: `"magnitude"` (of the kernels)
            or `"scores"` (their magnitude).

    Returns:
        Densities that keep, per layer, as many entries as exceed the
        threshold, at least one.
    """
    if by not in ("magnitude", "scores"):
        raise InputError(f"`by` must be 'magnitude' or 'scores', not '{by}'")
    pools = pools_of(model)
    return allocation_of(pools, global_counts(pools, density, by=by))


def global_counts(
    pools: Sequence[Pool], density: float, *, by: str = "magnitude"
) -> list[int]:
    """Returns how many entries each pool keeps."""
    check_density(density)
    values = [
        pool.magnitudes() if by == "magnitude" else pool.score_magnitudes()
        for pool in pools
    ]
    counts = count_largest(values, target_count(pools, density))
    return settle(counts, pools, density)
