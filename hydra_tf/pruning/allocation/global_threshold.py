"""The global allocation: one threshold for the values of all layers."""

from __future__ import annotations

import keras

from hydra_tf.errors import InputError
from hydra_tf.pruning.allocation.counts import counts_by_value
from hydra_tf.pruning.allocation.pools import Pools
from hydra_tf.pruning.allocation.pools import check_leaves_channels


def global_threshold(
    model: keras.Model, density: float, *, by: str = "magnitude"
) -> dict[str, float]:
    """Keeps the largest values of all layers together: one threshold.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights, or of channels; see
            `hydra_tf.allocation.allocate`.
        by: What is compared over the layers: `"magnitude"` (of the kernels;
            of a channel, the sum over its weights) or `"scores"` (their
            magnitude).

    Returns:
        Densities that keep, per layer, as many entries as exceed the
        threshold, at least one.
    """
    if by not in ("magnitude", "scores"):
        raise InputError(f"`by` must be 'magnitude' or 'scores', not '{by}'")
    check_leaves_channels(model, density)
    pools = Pools(model)
    return pools.allocation(global_counts(pools, density, by=by))


def global_counts(
    pools: Pools, density: float, *, by: str = "magnitude"
) -> list[int]:
    """Returns how many entries each pool keeps."""
    return counts_by_value(
        pools,
        density,
        lambda pool: (
            pool.magnitudes() if by == "magnitude" else pool.score_magnitudes()
        ),
    )
