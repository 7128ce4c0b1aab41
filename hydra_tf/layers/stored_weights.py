"""What files hold of a masked layer, by the names of its variables."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.keras_internals import WatchedVariable
from hydra_tf.layers.scores import Density


def save_weights(layer: Any, store: Any) -> None:
    """Writes a masked layer's weights.

    Args:
        layer: A built masked layer.
        store: Mapping to write to, from names to variables or arrays.
    """
    for name, variable in _stored(layer).items():
        # A density as a number that has its count in any precision.
        store[name] = (
            np.float64(float(variable))
            if isinstance(variable, Density)
            else variable
        )


def load_weights(layer: Any, store: Any) -> None:
    """Reads what `save_weights` wrote.

    Args:
        layer: A built masked layer.
        store: The mapping.

    Raises:
        InputError: If it holds the weights of something else.
    """
    variables = _stored(layer)
    names = set(store.keys())
    if names != set(variables):
        raise InputError(
            f"layer '{layer.name}' needs the weights {', '.join(variables)}; "
            f"the file holds {', '.join(sorted(names)) or 'none'}: it was not "
            "written by this masked model. If it was by the plain one, "
            "hydra_tf.set_plain_weights(model, path) takes it"
        )
    for name, variable in variables.items():
        if isinstance(variable, WatchedVariable):
            # The constant mask is derived once, at the end.
            variable.assign_quietly(np.asarray(store[name]))
        else:
            variable.assign(store[name])
    for weight in layer.masked_weights.values():
        for scoring in weight.scorings:
            scoring.refresh()


def _stored(layer: Any) -> dict[str, keras.Variable]:
    stored = dict(layer.plain_variables)
    for weight in layer.masked_weights.values():
        stored |= weight.stored
    return stored
