"""Switching a whole model between pretrain, prune and finetune."""

from __future__ import annotations

import keras

from hydra_tf.errors import InputError
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_trainable_variables
from hydra_tf.layers import MaskedLayer
from hydra_tf.phases import check_phase
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.naming import layers_with_masks

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
)


def set_phase(
    model: keras.Model, phase: str, *, train_normalization: bool = True
) -> None:
    """Chooses what of a model trains, and which masks apply.

    In `"pretrain"` everything but the scores trains and no mask applies; in
    `"prune"` the scores train, and the scale and offset of normalisation
    layers unless `train_normalization` is off; in `"finetune"` everything but
    the scores trains, under constant masks. Running statistics move in every
    phase. Layers and weights under a layer whose own `trainable` is off stay
    frozen.

    As with Keras's `trainable`, compile the model again before the next `fit`.

    Args:
        model: Model with masked layers.
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
        train_normalization: Whether normalisation parameters train in the
            prune phase, as in the original.

    Raises:
        InputError: If the phase is unknown or the model has no masked layer.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3.1
    """
    if phase is None:
        raise InputError("`phase` must be one of pretrain, prune, finetune")
    check_phase(phase)
    layers_with_masks(model)
    connect_channels(model)
    for layer in flatten_layers(model):
        if isinstance(layer, MaskedLayer):
            layer.phase = phase
        elif layer.trainable:
            # Each variable's own switch: `layer.trainable = False` would put
            # batch normalisation into inference mode.
            trains = phase != "prune" or (
                train_normalization and isinstance(layer, NORMALIZATIONS)
            )
            for variable in own_trainable_variables(layer):
                variable.trainable = trains
    forget_functions(model)


def forget_functions(model: keras.Model) -> None:
    """Lets Keras compile the functions of a model again, for other masks."""
    for name in ("train_function", "test_function", "predict_function"):
        if getattr(model, name, None) is not None:
            setattr(model, name, None)
