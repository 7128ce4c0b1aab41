"""The weights of a network: copied to another, recognised by a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.layers.mask_view import owner_of
from hydra_tf.pruning import masked_layers
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.copying import copy_adapted


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
        _of_no_masked_layer(source, source.variables),
        _of_no_masked_layer(target, target.variables),
        strict=True,
    ):
        new.assign(np.asarray(old))
        new.trainable = old.trainable  # Perhaps frozen on its own.
    copy_adapted(source, target)
    copies = masked_layers(target)
    # Of a layer with several masked weights all at once.
    owners = {
        owner_of(view): owner_of(copies[name])
        for name, view in masked_layers(source).items()
    }
    for layer, copy in owners.items():
        stored: dict[str, keras.Variable] = {}
        layer.save_own_variables(stored)
        copy.load_own_variables(
            {key: np.asarray(value) for key, value in stored.items()}
        )
    connect_channels(target)


def fingerprint(network: keras.Model) -> str:
    """Returns a digest of a network's weights, scores and masks left out.

    So is where random generators stand, which no file has.

    Args:
        network: A model that is built.
    """
    digest = hashlib.sha256()
    weights = [
        variable
        for layer in _masked_owners(network)
        for variable in layer.plain_variables.values()
    ]
    weights += _of_no_masked_layer(network, network.weights)
    for variable in weights:
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()[:16]


def _of_no_masked_layer(
    network: keras.Model, variables: Sequence[keras.Variable]
) -> list[keras.Variable]:
    """Returns those variables that belong to no masked layer."""
    masked = {
        id(variable)
        for layer in _masked_owners(network)
        for variable in layer.weights
    }
    return [each for each in variables if id(each) not in masked]


def _masked_owners(network: keras.Model) -> list[Any]:
    """Returns the masked layers, those of several masked weights once."""
    views = masked_layers(network).values()
    return list(dict.fromkeys(map(owner_of, views)))
