"""The uniform allocation."""

from __future__ import annotations

import keras

from hydra_tf.errors import InputError
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.allocation.pools import check_leaves_channels
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


def uniform(model: keras.Model, density: float) -> dict[str, float]:
    """Gives every layer the same density, as HYDRA does.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1]. For layers that keep N of M weights, N / M.

    Raises:
        InputError: If a layer cannot have that density: less than one of its
            channels, or not N / M.
    """
    check_density(density)
    layers = prunable_layers(model)
    check_leaves_channels(model, density)
    for name, layer in layers.items():
        if is_n_of_m(layer.granularity):
            n, m = n_of_m(layer.granularity)
            if float(density) != n / m:
                raise InputError(
                    f"`density` must be {n / m:g}, because layer '{name}' "
                    f"keeps {n} of every {m} weights. "
                    f"Received: density={density}"
                )
    return dict.fromkeys(layers, float(density))
