"""Giving a network the weights of its twin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hydra_tf import pruning
from hydra_tf.pruning.channels.groups import connect_channels


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies all weights, masked layers by the names of their variables.

    The order of a layer's variables depends on what was done to it: a rate
    may have come later, and layers that share channels share their scores.
    Those of the target share them afterwards.

    Args:
        source: The network to read.
        target: A network of the same configuration.
    """
    masked = pruning.masked_layers(source)
    twins = pruning.masked_layers(target)
    for old, new in zip(
        _other_variables(source, masked),
        _other_variables(target, twins),
        strict=True,
    ):
        new.assign(np.asarray(old))
    for name, layer in masked.items():
        stored: dict[str, keras.Variable] = {}
        layer.save_own_variables(stored)
        twins[name].load_own_variables(
            {key: np.asarray(value) for key, value in stored.items()}
        )
    connect_channels(target)


def _other_variables(
    network: keras.Model, masked: Mapping[str, Any]
) -> list[keras.Variable]:
    """Returns the variables that belong to no masked layer, in their order."""
    known = {
        id(variable)
        for layer in masked.values()
        for variable in layer.variables
    }
    return [each for each in network.variables if id(each) not in known]
