"""The global allocation: one threshold for the values of all layers."""

from __future__ import annotations

import keras

from hydra_tf.errors import InputError
from hydra_tf.pruning.allocation.pools import Pool
from hydra_tf.pruning.allocation.pools import Pools


def global_threshold(
    model: keras.Model,
    density: float,
    *,
    by: str = "magnitude",
    nested: bool = False,
) -> dict[str, float]:
    """Keeps the largest values of all layers together: one threshold.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights, or of channels; see
            `hydra_tf.allocation.allocate`.
        by: What is compared over the layers: `"magnitude"` (of the kernels;
            of a channel, the sum over its weights) or `"scores"` (their
            magnitude).
        nested: Whether only what the masks keep now may be kept.

    Returns:
        Densities that keep, per layer, as many entries as exceed the
        threshold, at least one.
    """
    if by not in ("magnitude", "scores"):
        raise InputError(f"`by` must be 'magnitude' or 'scores', not '{by}'")
    values = Pool.magnitudes if by == "magnitude" else Pool.score_magnitudes
    return Pools(model, density, nested=nested).largest_first(values)
