"""The weights of a network: copied to another, recognised by a digest."""

from __future__ import annotations

import hashlib

import keras
import numpy as np

from hydra_tf.pruning import masked_layers
from hydra_tf.pruning.channels.groups import connect_channels


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies all weights, those of masked layers by the names of variables.

    The order of a layer's variables depends on what was done to it: a rate
    may have come later, and layers that share channels share their scores.
    Those of the target share them afterwards.

    Args:
        source: The network to read.
        target: A network of the same configuration.
    """
    for old, new in zip(
        _plain_variables(source), _plain_variables(target), strict=True
    ):
        new.assign(np.asarray(old))
    copies = masked_layers(target)
    for name, layer in masked_layers(source).items():
        stored: dict[str, keras.Variable] = {}
        layer.save_own_variables(stored)
        copies[name].load_own_variables(
            {key: np.asarray(value) for key, value in stored.items()}
        )
    connect_channels(target)


def fingerprint(network: keras.Model) -> str:
    """Returns a digest of a network's weights, scores and masks left out.

    Args:
        network: A model that is built.
    """
    digest = hashlib.sha256()
    masked = [
        getattr(layer, name, None)
        for layer in masked_layers(network).values()
        for name in ("kernel", "bias")
    ]
    weights = [variable for variable in masked if variable is not None]
    for variable in (*weights, *_plain_variables(network)):
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()[:16]


def _plain_variables(network: keras.Model) -> list[keras.Variable]:
    """Returns the variables that belong to no masked layer, in their order."""
    masked = {
        id(variable)
        for layer in masked_layers(network).values()
        for variable in layer.variables
    }
    return [each for each in network.variables if id(each) not in masked]
