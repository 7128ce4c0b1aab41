"""How attacks and objectives call the network that they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.errors import InputError

Model = Callable[..., Any]


def accepts_argument(function: Callable[..., Any], name: str) -> bool:
    """Whether the signature of `function` names the argument `name`.

    A catch-all `**kwargs` does not count: what lies behind it may refuse the
    argument (a function restored from a SavedModel does).
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # Built without a readable signature.
        return False
    return name in parameters


def call_model(model: Model, x: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns `model(x)` as float32 logits, in the mode `training`.

    Args:
        model: Keras model or layer, or any callable from images to logits. The
            mode is passed to Keras objects and to callables whose signature
            has an argument `training`; other callables get the images alone.
        x: Images, `(batch, ...)`.
        training: Whether the forward pass is one of training.

    Returns:
        Float32 tensor of shape `(batch, classes)`. Networks of lower
        precision are cast, so that losses are computed in float32.
    """
    if isinstance(model, keras.Layer) or accepts_argument(model, "training"):
        logits = model(x, training=training)
    else:
        logits = model(x)
    logits = tf.cast(logits, tf.float32)
    inputs.check_logits(logits.shape)
    return logits


def check_ends_in_logits(model: Any, name: str = "model") -> None:
    """Raises `InputError` if a network ends in a softmax.

    The losses take logits. On probabilities they would be wrong without
    failing, and the gradients of attacks would vanish.

    Args:
        model: Keras model; what is no Functional or Sequential model passes.
        name: What the message calls it.
    """
    last = model
    while getattr(last, "layers", None):
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) is keras.activations.softmax
    ):
        raise InputError(
            f"{name} ends in a softmax, layer '{last.name}': it must return "
            "logits, so give that layer activation=None (or leave it out)"
        )


def as_logits_function(model: Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the function from images to float32 logits in inference mode."""
    return lambda x: call_model(model, x, training=False)
