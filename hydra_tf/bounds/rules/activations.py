"""Rules of activations, as layers and inside other layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.registration import as_operations
from hydra_tf.bounds.rules.registration import find_rule
from hydra_tf.bounds.rules.registration import register_named_rule
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported

_RELU = LeakyReLU()

# Functions that never fall; relu, leaky_relu and linear are treated below.
_MONOTONE: tuple[Callable[..., Any], ...] = (
    keras.activations.elu,
    keras.activations.exponential,
    keras.activations.hard_sigmoid,
    keras.activations.hard_tanh,
    keras.activations.relu6,
    keras.activations.selu,
    keras.activations.sigmoid,
    keras.activations.softplus,
    keras.activations.softsign,
    keras.activations.tanh,
)


def activation(layer: Any) -> list[Operation]:
    """Returns the operations of `layer.activation`, none for `None`.

    Args:
        layer: A Keras layer with an attribute `activation`.

    Raises:
        InputError: If the function is not known to be monotone.
    """
    function = layer.activation
    if function is None or function is keras.activations.linear:
        return []
    if isinstance(function, keras.Layer):  # Dense(activation=ReLU()).
        rule = find_rule(function)
        if rule not in (_activation, _relu, _leaky, _elu):
            raise unsupported(function.name, function)
        return as_operations(f"layer '{function.name}'", rule(function))
    if function in (keras.activations.relu, tf.nn.relu, keras.ops.relu):
        return [_RELU]
    if function in (keras.activations.leaky_relu, keras.ops.leaky_relu):
        return [LeakyReLU(0.2)]  # Keras' default.
    if function in _MONOTONE:
        return [Monotone(function)]
    name = getattr(function, "__name__", repr(function))
    raise unsupported(layer.name, layer, f"its activation is '{name}'")


@register_rule(keras.layers.Activation)
def _activation(layer: Any) -> list[Operation]:
    return activation(layer)


@register_rule(keras.layers.ReLU)
def _relu(layer: Any) -> list[Operation]:
    if layer.max_value is None and not layer.threshold:
        return [_leaky_relu(layer, layer.negative_slope)]
    if layer.negative_slope < 0 or (layer.threshold and layer.threshold < 0):
        raise unsupported(layer.name, layer, "it is not monotone")
    return [Monotone(layer.call)]


@register_rule(keras.layers.LeakyReLU)
def _leaky(layer: Any) -> Operation:
    return _leaky_relu(layer, layer.negative_slope)


def _leaky_relu(layer: Any, slope: Any) -> Operation:
    slope = float(slope)
    if 0 <= slope <= 1:
        return LeakyReLU(slope)
    if slope < 0:
        raise unsupported(layer.name, layer, "its negative slope is < 0")
    return Monotone(lambda x: tf.where(x < 0, slope * x, x))


@register_rule(keras.layers.ELU)
def _elu(layer: Any) -> Operation:
    if layer.alpha < 0:
        raise unsupported(layer.name, layer, "its alpha is < 0")
    alpha = layer.alpha
    return Monotone(lambda x: tf.where(x < 0, alpha * tf.math.expm1(x), x))


@register_named_rule("Relu")
def _relu_operation(operation: Any) -> Operation:
    return _RELU


@register_named_rule("LeakyRelu")
def _leaky_relu_operation(operation: Any) -> Operation:
    return _leaky_relu(operation, operation.negative_slope)


@register_named_rule("Relu6", "Sigmoid", "Tanh", "Softplus")
def _monotone_operation(operation: Any) -> Operation:
    return Monotone(operation.call)
