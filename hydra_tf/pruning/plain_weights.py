"""Weights of a plain model, for its masked copy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf import files
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.layers import MaskedLayer
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.copying import copied
from hydra_tf.pruning.copying import copy_layer_weights
from hydra_tf.pruning.copying import plain_copy
from hydra_tf.pruning.naming import layers_with_masks
from hydra_tf.pruning.scores import init_scores


def set_plain_weights(
    model: keras.Model | keras.layers.Layer,
    weights: Sequence[Any] | str | os.PathLike,
) -> None:
    """Gives a masked model the weights of its plain model.

    Densities stay, and the scores become those that `hydra_tf.to_masked` makes
    of the weights.

    The other way: `hydra_tf.strip_masks(model)` is plain and has the pruned
    weights. A `.weights.h5` file of a masked model is for such a model first:

    ```python
    masked = ht.to_masked(plain)  # with the arguments of that model
    masked.load_weights("masked.weights.h5")
    plain.set_weights(ht.strip_masks(masked).get_weights())
    ```

    Args:
        model: A masked model, as from `hydra_tf.to_masked`, or a masked layer.
        weights: What `get_weights` of the plain model (or layer) returns, or
            the path of a `.weights.h5` file that it wrote.

    Raises:
        InputError: If there is nothing masked, or the weights are those of
            another model. Nothing has changed then.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    >>> masked = hydra_tf.to_masked(model, density=0.5)
    >>> hydra_tf.set_plain_weights(masked, [np.eye(4, 5), np.zeros(5)])
    >>> hydra_tf.strip_masks(masked).get_weights()[0].sum()
    np.float32(4.0)
    """
    if isinstance(model, MaskedLayer) and model.built:
        plain = plain_copy(model)
        plain.build(model.built_input_shape)
        _take(plain, weights, model)
        copy_layer_weights(plain, model)
        return
    layers_with_masks(model)
    connect_channels(model)
    plain, pairs = copied(model, plain=True)
    _take(plain, weights, model)
    for masked_layer, layer in pairs:
        copy_layer_weights(layer, masked_layer)
    # Also of layers that share them.
    init_scores(model, "scaled")


def _take(plain: Any, weights: Any, model: Any) -> None:
    """Gives a plain model or layer weights that may not be its own."""
    is_path = isinstance(weights, str | os.PathLike)
    try:
        if is_path:
            with files.local_copy(files.as_path(weights)) as local:
                plain.load_weights(local)
        else:
            plain.set_weights([np.asarray(each) for each in weights])
    except FileError:
        raise
    # Whatever Keras, h5py and NumPy say of a wrong value.
    except Exception as error:
        what = f"'{os.fspath(weights)}'" if is_path else "`weights`"
        wanted = ", ".join(str(tuple(each.shape)) for each in plain.weights[:6])
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{what} cannot be taken as the plain weights of '{model.name}', "
            f"{len(plain.weights)} of shapes {wanted}"
            f"{', ...' if len(plain.weights) > 6 else ''}: {reason[0]} (what "
            "the masked model itself wrote is for its own set_weights and "
            "load_weights)"
        ) from error
