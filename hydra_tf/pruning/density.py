"""Setting how many weights each masked layer keeps."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from hydra_tf.masks import check_density
from hydra_tf.pruning.naming import check_layer_names
from hydra_tf.pruning.naming import prunable_layers


def set_density(
    model: keras.Model, density: float | Mapping[str, float]
) -> None:
    """Sets the density of a model's masked layers.

    The density is a weight of the layer: it is saved with the model and holds
    in every later phase.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] for every layer, or a mapping from layer name
            to density (as `hydra_tf.allocation` makes them); layers that it
            does not name keep theirs.

    Raises:
        InputError: If a density is outside (0, 1], a name is unknown or the
            model has no masked layer. No layer has changed then.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(5, name="logits")])
    >>> masked = hydra_tf.to_masked(model)
    >>> hydra_tf.set_density(masked, {"logits": 0.5})
    >>> hydra_tf.sparsity_report(masked).kept
    10
    """
    layers = prunable_layers(model)
    if isinstance(density, Mapping):
        check_layer_names(density, layers, "density")
        for name, value in density.items():
            check_density(value, f"density[{name!r}]")
    else:
        check_density(density)
        density = dict.fromkeys(layers, density)
    for name, value in density.items():
        layers[name].density = float(value)
