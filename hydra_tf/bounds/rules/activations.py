"""Rules of activations, as layers and inside other layers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.curves import Activation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.rules.registration import as_operations
from hydra_tf.bounds.rules.registration import find_rule
from hydra_tf.bounds.rules.registration import register_named_rule
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported

_RELU = LeakyReLU()

# What `Activation` has to know of a function. Inflections are zeros of its
# second derivative, or kinks; minima are zeros of the first one.
_GELU: dict[str, Any] = {
    "inflections": (-math.sqrt(2), math.sqrt(2)),
    "minimum_at": -0.7517915246935646,
    "begins_convex": False,
}
_GELU_BY_TANH: dict[str, Any] = {
    "inflections": (-1.4185040087908285, 1.4185040087908285),
    "minimum_at": -0.7524614220710163,
    "begins_convex": False,
}
_SILU: dict[str, Any] = {
    "inflections": (-2.3993572805154675, 2.3993572805154675),
    "minimum_at": -1.278464542761074,
    "begins_convex": False,
}
_HARD_SILU: dict[str, Any] = {
    "inflections": (-3.0, 3.0),
    "minimum_at": -1.5,
    "begins_convex": False,
}
_MISH: dict[str, Any] = {
    "inflections": (-2.2563763963607935, 1.4905711794854282),
    "minimum_at": -1.1924312145154952,
    "begins_convex": False,
}
_AT_ZERO: dict[str, Any] = {"inflections": (0.0,)}
_CONCAVE: dict[str, Any] = {"begins_convex": False}
_TANH_SHRINK = _AT_ZERO | _CONCAVE
# TensorFlow's own has no second derivative, which gradients of bounds take.
_SOFTSIGN = _AT_ZERO | {"function": lambda x: x / (1 + tf.abs(x))}

# relu, leaky_relu, softmax and linear are treated below.
_CURVES: dict[Callable[..., Any], dict[str, Any]] = {
    keras.activations.celu: _AT_ZERO,
    keras.activations.elu: _AT_ZERO,
    keras.activations.exponential: {},
    keras.activations.gelu: _GELU,
    keras.activations.hard_sigmoid: {"inflections": (-3.0, 3.0)},
    keras.activations.hard_silu: _HARD_SILU,
    keras.activations.hard_tanh: {"inflections": (-1.0, 1.0)},
    keras.activations.log_sigmoid: _CONCAVE,
    keras.activations.mish: _MISH,
    keras.activations.relu6: {"inflections": (0.0, 6.0)},
    keras.activations.selu: _AT_ZERO,
    keras.activations.sigmoid: _AT_ZERO,
    keras.activations.silu: _SILU,
    keras.activations.softplus: {},
    keras.activations.softsign: _SOFTSIGN,
    keras.activations.squareplus: {},
    keras.activations.tanh: _AT_ZERO,
    keras.activations.tanh_shrink: _TANH_SHRINK,
    keras.ops.gelu: _GELU_BY_TANH,
    keras.ops.sigmoid: _AT_ZERO,
    keras.ops.silu: _SILU,
    keras.ops.tanh: _AT_ZERO,
    tf.nn.gelu: _GELU,
    tf.nn.silu: _SILU,
    tf.nn.tanh: _AT_ZERO,
    tf.sigmoid: _AT_ZERO,
}

# Operations of `keras.ops`, by the names of their classes.
_CURVE_OPERATIONS: dict[str, dict[str, Any]] = {
    "Celu": _AT_ZERO,
    "Elu": _AT_ZERO,
    "Exp": {},
    "HardSigmoid": {"inflections": (-3.0, 3.0)},
    "HardSilu": _HARD_SILU,
    "HardTanh": {"inflections": (-1.0, 1.0)},
    "LogSigmoid": _CONCAVE,
    "Relu6": {"inflections": (0.0, 6.0)},
    "Selu": _AT_ZERO,
    "Sigmoid": _AT_ZERO,
    "Silu": _SILU,
    "Softplus": {},
    "Softsign": _SOFTSIGN,
    "Tanh": _AT_ZERO,
    "TanhShrink": _TANH_SHRINK,
}


def activation(layer: Any) -> list[Operation]:
    """Returns the operations of `layer.activation`, none for `None`.

    Args:
        layer: A Keras layer with an attribute `activation`.

    Raises:
        InputError: If the function is not known.
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
    curve = _curve_of(function)
    if curve is not None:
        return [Activation(**{"function": function} | curve)]
    name = getattr(function, "__name__", repr(function))
    raise unsupported(layer.name, layer, f"its activation is '{name}'")


def _curve_of(function: Any) -> dict[str, Any] | None:
    """Returns what is known of a function, `None` if nothing is."""
    if isinstance(function, functools.partial):  # gelu(approximate=True)
        whole = _curve_of(function.func)
        approximate = function.keywords.get("approximate")
        if function.args or set(function.keywords) - {"approximate"}:
            return None
        if whole in (_GELU, _GELU_BY_TANH) and approximate is not None:
            return _GELU_BY_TANH if approximate else _GELU
        return whole
    try:
        return _CURVES.get(function)
    except TypeError:  # It cannot be a key.
        return None


@register_rule(keras.layers.Activation)
def _activation(layer: Any) -> list[Operation]:
    return activation(layer)


@register_rule(keras.layers.ReLU)
def _relu(layer: Any) -> list[Operation]:
    if layer.max_value is None and not layer.threshold:
        return [_leaky_relu(layer, layer.negative_slope)]
    if layer.negative_slope < 0 or (layer.threshold and layer.threshold < 0):
        raise unsupported(layer.name, layer, "it is not monotone")
    if layer.threshold:  # A step.
        return [Monotone(layer.call)]
    kinks = (0.0, float(layer.max_value))
    return [Activation(layer.call, inflections=kinks)]


@register_rule(keras.layers.LeakyReLU)
def _leaky(layer: Any) -> Operation:
    return _leaky_relu(layer, layer.negative_slope)


def _leaky_relu(layer: Any, slope: Any) -> Operation:
    slope = float(slope)
    if 0 <= slope <= 1:
        return LeakyReLU(slope)
    if slope < 0:
        raise unsupported(layer.name, layer, "its negative slope is < 0")
    return Activation(lambda x: tf.where(x < 0, slope * x, x), **_AT_ZERO)


@register_rule(keras.layers.ELU)
def _elu(layer: Any) -> Operation:
    if layer.alpha < 0:
        raise unsupported(layer.name, layer, "its alpha is < 0")
    alpha = layer.alpha
    return Activation(
        # Where x is large, the other branch must not overflow.
        lambda x: tf.where(x < 0, alpha * tf.math.expm1(tf.minimum(x, 0)), x),
        **_AT_ZERO,
    )


@register_named_rule("Relu")
def _relu_operation(operation: Any) -> Operation:
    return _RELU


@register_named_rule("LeakyRelu")
def _leaky_relu_operation(operation: Any) -> Operation:
    return _leaky_relu(operation, operation.negative_slope)


@register_named_rule(*_CURVE_OPERATIONS)
def _curve_operation(operation: Any) -> Operation:
    alpha = getattr(operation, "alpha", 1)
    if alpha < 0:
        raise unsupported(operation.name, operation, "its alpha is < 0")
    curve = _CURVE_OPERATIONS[type(operation).__name__]
    return Activation(**{"function": operation.call} | curve)


@register_named_rule("Gelu")
def _gelu_operation(operation: Any) -> Operation:
    curve = _GELU_BY_TANH if operation.approximate else _GELU
    return Activation(operation.call, **curve)
