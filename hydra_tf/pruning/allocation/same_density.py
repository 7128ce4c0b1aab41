"""The uniform allocation."""

from __future__ import annotations

import keras

from hydra_tf.masks import check_density
from hydra_tf.pruning.naming import prunable_layers


def uniform(model: keras.Model, density: float) -> dict[str, float]:
    """Gives every layer the same density, as HYDRA does.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1].
    """
    check_density(density)
    return dict.fromkeys(prunable_layers(model), float(density))
