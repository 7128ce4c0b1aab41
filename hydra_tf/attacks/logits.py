"""How attacks, objectives and evaluations call the network they are given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.graph import check_names
from hydra_tf.graph import is_graph
from hydra_tf.graph import package_of
from hydra_tf.keras_internals import operation_of
from hydra_tf.layers import reuse_effective_kernels
from hydra_tf.resumable import digest

Model = Callable[..., Any]

# Layers that may stand behind the one that makes the outputs.
_SAME = (
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.Identity,
    keras.layers.Reshape,
)

# What makes probabilities, by its name in messages.
_ENDS = {
    "softmax": (keras.activations.softmax, keras.ops.softmax, tf.nn.softmax),
    "sigmoid": (keras.activations.sigmoid, keras.ops.sigmoid, tf.nn.sigmoid),
}


_OF_SEVERAL = (
    "; where it needs all of them, hydra_tf.RobustModel(model, objective, "
    "attack=..., attacked_input=...).evaluate(batches) attacks one"
)


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
    """Raises `InputError` unless a network is from one tensor to logits.

    Args:
        model: Keras model; what is no Functional or Sequential model passes.
        name: What the message calls it.
    """
    _check_form(model, name, "input", "output")
    check_has_no_softmax(model, name)


def check_has_no_softmax(
    model: Any, name: str = "model", *, or_sigmoid: bool = True
) -> None:
    """Raises `InputError` if a network ends in a softmax, or in a sigmoid.

    The losses take logits. On probabilities they would be wrong without
    failing, and the gradients of attacks would vanish.

    Args:
        model: Keras model; what is no Functional or Sequential model passes.
        name: What the message calls it.
        or_sigmoid: Whether a sigmoid is refused, too, where the graph shows it.
    """
    last = _last(model)
    if isinstance(last, keras.layers.Softmax):
        raise InputError(
            f"{name} ends in a softmax, layer '{last.name}': it must return "
            "logits, so leave that layer out"
        )
    for end, functions in _ENDS.items():
        # The last layer of a model without graph may be the gate of a block.
        if end == "sigmoid" and not (or_sigmoid and is_graph(model)):
            continue
        if getattr(last, "activation", None) in functions:
            raise InputError(
                f"{name} ends in a {end}, layer '{last.name}': it must return "
                "logits, so make that layer with activation=None, or set its "
                "activation to keras.activations.linear"
            )
        if type(last).__name__ == end.capitalize():
            raise InputError(
                f"{name} ends in keras.ops.{end}: it must return logits, so "
                "make it without, keras.Model(model.input, logits)"
            )


def check_has_one_output(model: Any, name: str = "model") -> None:
    """Raises `InputError` for a network of several outputs.

    Args:
        model: Keras model; what is no Functional or Sequential model passes.
        name: What the message calls it.
    """
    _check_form(model, name, "output")


def _check_form(model: Any, name: str, *ends: str) -> None:
    """Raises `InputError` for several inputs or outputs, and wrong names."""
    if not is_graph(model) or not model.built:
        return
    check_names(model)
    for what in ends:
        tensors = getattr(model, f"{what}s")
        # Those of a Functional model as they are passed and returned.
        structure = getattr(model, what, tensors[0])
        if len(tensors) != 1 or keras.tree.is_nested(structure):
            raise InputError(
                f"{name} has {len(tensors)} {what}(s) in a "
                f"{type(structure).__name__}: it must take one tensor of "
                "images and return one of logits, as the part of it that "
                "keras.Model(image, logits) makes"
                + _OF_SEVERAL
                * (what == "input" and len(tensors) > 1)
            )


def shows_its_end(model: Any) -> bool:
    """Whether what a network's outputs come from is a layer that is known.

    Args:
        model: Keras model.
    """
    last = _last(model)
    return (
        is_graph(model)
        and not isinstance(last, keras.layers.Lambda)
        and package_of(type(last).call) in ("keras", "hydra_tf")
    )


def _last(model: Any) -> Any:
    """Returns the layer or operation that a network's output comes from."""
    while is_graph(model) and model.built:
        model = operation_of(model.outputs[0])
        while _passes_on(model):
            model = operation_of(model.input)
    # One that does not show its graph.
    while getattr(model, "layers", None):
        model = model.layers[-1]
    return model


def _passes_on(layer: Any) -> bool:
    """Whether a layer returns its input, which is known, in another form."""
    if isinstance(layer, keras.layers.Activation):
        is_same = layer.activation is keras.activations.linear
    else:
        is_same = isinstance(layer, _SAME)
    return is_same and isinstance(
        getattr(layer, "input", None), keras.KerasTensor
    )


def as_logits_function(model: Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the function from images to float32 logits in inference mode."""
    return lambda x: call_model(model, x, training=False)


def computing_kernels_once(attack: Callable) -> Callable:
    """Decorator: all calls of a masked network in an attack share its masks."""

    @functools.wraps(attack)
    def wrapped(model, *args, **kwargs):
        if not isinstance(model, keras.Layer):
            return attack(model, *args, **kwargs)
        with reuse_effective_kernels(model):
            return attack(model, *args, **kwargs)

    return wrapped


def predictions(
    network: Any, images: np.ndarray, batch_size: int = 256
) -> np.ndarray:
    """Returns the class that a network gives each image.

    Args:
        network: Keras model, or any callable from images to logits.
        images: Float32 images.
        batch_size: Images at a time.
    """
    logits_of = as_logits_function(network)
    classify = compiled(
        lambda x: tf.argmax(logits_of(x), -1, tf.int32),
        input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)],
    )
    return np.concatenate(
        [
            classify(tf.constant(images[row : row + batch_size])).numpy()
            for row in range(0, len(images), batch_size)
        ]
    )


def num_classes_of(network: Any, images: np.ndarray) -> int:
    """Returns how many logits a network has, which it is asked if need be.

    Args:
        network: Keras model, or any callable from images to logits.
        images: One or more images that it takes.
    """
    known = inputs.num_classes_of(network)
    if known is not None:
        return known
    one = tf.constant(images[:1], tf.float32)
    return as_logits_function(network)(one).shape[-1]


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Returns a function as a `tf.function`.

    TensorFlow would take the evaluation of one network after the other for
    retracing, and warn of it, if it saw that all run the same code.
    """
    return tf.function(functools.partial(function), autograph=False, **options)


def fingerprint(network: Any, classes: np.ndarray) -> str:
    """Returns what tells a network from others, as far as it can be seen.

    Args:
        network: Of a Keras model, the weights count; of another callable,
        classes: what it predicts.
    """
    if not isinstance(network, keras.Model):
        return digest(classes)
    return digest(
        np.array([digest(np.asarray(w)) for w in network.get_weights()])
    )
