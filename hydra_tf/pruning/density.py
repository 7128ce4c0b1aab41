"""Setting how many weights each masked layer keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.channels.whole_layers import check_channels_can_go
from hydra_tf.pruning.naming import check_layer_names
from hydra_tf.pruning.naming import masked_layers
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
            does not name keep theirs, unless they share channels, and so the
            density, with one that it names.

    Raises:
        InputError: If a density is outside (0, 1] or another than granularity
            N:M has, layers that share channels were given several, a name is
            unknown, densities are learned, or the model has no masked layer.
            No layer has changed then.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(5, name="logits")])
    >>> masked = hydra_tf.to_masked(model)
    >>> hydra_tf.set_density(masked, {"logits": 0.5})
    >>> hydra_tf.sparsity_report(masked).kept
    10
    """
    check_channels_can_go(model)
    layers = prunable_layers(model)
    connect_channels(model)
    if isinstance(density, Mapping):
        check_densities(model, density, "density")
    else:
        check_density(density)
        density = dict.fromkeys(layers, density)
    for name in density:
        if layers[name].rate is not None:
            raise InputError(
                f"layer '{name}' learns its density: hydra_tf.settle_densities "
                "makes it a number that can be set"
            )
    for name, value in density.items():
        layers[name].density = float(value)


def check_densities(
    model: keras.Model, densities: Mapping[str, Any], argument: str
) -> None:
    """Raises `InputError` unless layers can have the densities they are given.

    Args:
        model: Model with masked layers.
        densities: By layer name; layers may be left out.
        argument: What the caller's argument is called.
    """
    layers = prunable_layers(model)
    check_layer_names(densities, masked_layers(model), argument)
    for name, value in densities.items():
        if name not in layers:
            raise InputError(
                f"`{argument}` names layer '{name}', whose channels cannot be "
                "removed: leave it out"
            )
        check_density(value, f"{argument}[{name!r}]")
    for group in channel_groups(model):
        first, *others = [n for n in group.names if n in densities] or [""]
        for name in others:
            if float(densities[name]) != float(densities[first]):
                raise InputError(
                    f"`{argument}` gives layer '{first}' the density "
                    f"{densities[first]} and '{name}' {densities[name]}: they "
                    "share their channels, so both need the same"
                )
