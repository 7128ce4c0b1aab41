"""What each layer does with the channels that it is given."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from hydra_tf.graph import Call
from hydra_tf.graph import Value
from hydra_tf.graph import class_of
from hydra_tf.graph import package_of
from hydra_tf.graph import redefines
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.maskable import weights_of_class


class Rule(enum.Enum):
    """What a call does with channels, the entries of the last axis."""

    DENSE = "ends channels and begins others, position by position"
    CONV = "the same, over a window of positions"
    TRANSPOSE = "the same, spreading each position over a window"
    DEPTHWISE = "passes channels on, over a window; may multiply them"
    ELEMENTWISE = "maps entries, or entries of several inputs, one by one"
    POOLING = "passes channels on; a constant stays the constant"
    PADDING = "passes channels on, with zeros around them"
    CONCATENATE = "strings channels together"
    JOIN = "puts the entries of channels together along another axis"
    RESHAPE = "keeps the entries in their order"
    OPAQUE = "anything else"


KERNEL_RULES = (Rule.DENSE, Rule.CONV, Rule.TRANSPOSE, Rule.DEPTHWISE)

_Decide = Callable[[Call], Rule]

_LAYERS: dict[type, Rule | _Decide] = {}
_OPERATIONS: dict[str, Rule | _Decide] = {}

# Activation functions that mix channels or change their number.
_MIXING = {"glu", "log_softmax", "softmax", "sparsemax"}


def rule_of(call: Call) -> Rule:
    """Returns what a call does with channels."""
    if not call.inputs or any(len(shape) < 2 for shape in call.input_shapes):
        return Rule.OPAQUE
    operation = call.operation
    if getattr(operation, "data_format", None) == "channels_first":
        return Rule.OPAQUE
    rule = _find(operation)
    if rule is not None and not isinstance(rule, Rule):
        rule = rule(call)
    return rule or Rule.OPAQUE


def has_kernel(layer: Any) -> bool:
    """Whether a layer is one of those whose kernel can lose channels."""
    return isinstance(layer, _KERNEL_LAYERS) and layer.built


def kernel_axes(layer: Any) -> KernelAxes:
    """Returns where channels lie in the kernel of a layer that has one."""
    base = next(each for each in type(layer).__mro__ if each in _KERNEL_LAYERS)
    return weights_of_class(base)["kernel"](layer, tuple(layer.kernel.shape))


def has_weights(operation: Any) -> bool:
    """Whether an operation is a layer with weights for its channels."""
    return isinstance(operation, keras.Layer) and any(
        "seed_generator" not in variable.path
        for variable in operation.variables
    )


def _find(operation: Any) -> Rule | _Decide | None:
    cls = class_of(operation)
    for base in cls.__mro__:
        if base in _LAYERS:
            # Else what it computes may not be what the base class does.
            return None if redefines(cls, base) else _LAYERS[base]
    if package_of(cls) != "keras" or isinstance(operation, keras.Layer):
        return None
    return _OPERATIONS.get(cls.__name__)


def activation_maps_entries(activation: Any) -> bool:
    """Whether an activation function maps its entries one by one."""
    if activation is None:
        return True
    if isinstance(activation, keras.Layer):
        return _find(activation) is Rule.ELEMENTWISE and not has_weights(
            activation
        )
    name = getattr(activation, "__name__", "")
    known = hasattr(keras.activations, name)
    return (
        package_of(activation) in ("keras", "tensorflow")
        and known
        and name not in _MIXING
    )


def _is_plain(layer: Any) -> bool:
    """Whether a layer with a kernel is neither quantised nor has LoRA."""
    return not getattr(layer, "quantization_mode", None) and not getattr(
        layer, "lora_enabled", False
    )


def _by_kernel(rule: Rule) -> _Decide:
    def decide(call: Call) -> Rule:
        layer = call.operation
        simple = (
            _is_plain(layer)
            and getattr(layer, "groups", 1) == 1
            and len(call.inputs) == 1
        )
        return rule if simple else Rule.OPAQUE

    return decide


def _einsum(call: Call) -> Rule:
    """A dense layer, if it acts on the last axis alone, as `abc,cd->abd`."""
    layer = call.operation
    terms, result = layer.equation.replace(" ", "").split("->")
    source, kernel = terms.split(",")
    last = source[-1], result[-1]
    dense = (
        sorted(kernel) == sorted(last)
        and source[:-1] == result[:-1]
        and (layer.bias_axes or last[1]) == last[1]
    )
    return _by_kernel(Rule.DENSE)(call) if dense else Rule.OPAQUE


def _activation(call: Call) -> Rule:
    maps = activation_maps_entries(call.operation.activation)
    return Rule.ELEMENTWISE if maps else Rule.OPAQUE


def _normalization(call: Call) -> Rule:
    axis = call.operation.axis
    rank = len(call.input_shapes[0])
    if isinstance(axis, int) and axis % rank == rank - 1:
        return Rule.ELEMENTWISE
    return Rule.OPAQUE


def _rescaling(call: Call) -> Rule:
    layer = call.operation
    scalars = np.ndim(layer.scale) == 0 and np.ndim(layer.offset) == 0
    return Rule.ELEMENTWISE if scalars else Rule.OPAQUE


def _dropout(call: Call) -> Rule:
    shape = getattr(call.operation, "noise_shape", None)
    free = shape is None or tuple(shape)[-1] in (None, 1)
    return Rule.ELEMENTWISE if free else Rule.OPAQUE


def _merging(call: Call) -> Rule:
    """Entries of several inputs, of which some may have a single channel."""
    if any(np.ndim(each) > 0 for each in call.constants) or any(
        np.ndim(each) > 0
        for each in keras.tree.flatten(list(call.kwargs.values()))
        if each is not None and not isinstance(each, Value)
    ):
        return Rule.OPAQUE
    channels = {shape[-1] for shape in call.input_shapes} - {1}
    fits = len(channels) <= 1 and call.output_shape[-1] in channels | {1}
    return Rule.ELEMENTWISE if fits else Rule.OPAQUE


def _concatenate(call: Call) -> Rule:
    if any(np.ndim(each) > 0 for each in call.constants):
        return Rule.OPAQUE
    axis = call.operation.axis % len(call.output_shape)
    last = axis == len(call.output_shape) - 1
    return Rule.CONCATENATE if last else Rule.JOIN


def _reshape(call: Call) -> Rule:
    before: tuple = call.input_shapes[0][1:]
    after: tuple = call.output_shape[1:]
    known = None not in (*before, *after) and after
    # Else an operation of `keras.ops` takes several rows for one.
    same = known and math.prod(before) == math.prod(after)
    return Rule.RESHAPE if same else Rule.OPAQUE


def _permutation(call: Call) -> Rule:
    dims = tuple(call.operation.dims)
    return Rule.JOIN if dims[-1] == len(dims) else Rule.OPAQUE


def _reduction(call: Call) -> Rule:
    rank = len(call.input_shapes[0])
    axes = call.operation.axis
    axes = (axes,) if isinstance(axes, int) else axes
    if axes is None or {axis % rank for axis in axes} & {0, rank - 1}:
        return Rule.OPAQUE
    if getattr(call.operation, "initial", None) is not None:
        return Rule.OPAQUE  # One more entry than those of the channel.
    return Rule.POOLING


_LAYERS |= {
    keras.layers.Dense: _by_kernel(Rule.DENSE),
    keras.layers.EinsumDense: _einsum,
    keras.layers.Conv1D: _by_kernel(Rule.CONV),
    keras.layers.Conv2D: _by_kernel(Rule.CONV),
    keras.layers.Conv2DTranspose: _by_kernel(Rule.TRANSPOSE),
    keras.layers.DepthwiseConv2D: _by_kernel(Rule.DEPTHWISE),
    keras.layers.Activation: _activation,
    keras.layers.BatchNormalization: _normalization,
    keras.layers.Concatenate: _concatenate,
    keras.layers.Dropout: _dropout,
    keras.layers.AlphaDropout: _dropout,
    keras.layers.Flatten: _reshape,
    keras.layers.Permute: _permutation,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Reshape: _reshape,
    keras.layers.ZeroPadding1D: Rule.PADDING,
    keras.layers.ZeroPadding2D: Rule.PADDING,
}
_KERNEL_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.DepthwiseConv2D,
)
_LAYERS |= dict.fromkeys(
    (
        keras.layers.ActivityRegularization,
        keras.layers.ELU,
        keras.layers.GaussianDropout,
        keras.layers.GaussianNoise,
        keras.layers.Identity,
        keras.layers.LeakyReLU,
        keras.layers.PReLU,
        keras.layers.ReLU,
        keras.layers.SpatialDropout1D,
        keras.layers.SpatialDropout2D,
    ),
    Rule.ELEMENTWISE,
)
_LAYERS |= dict.fromkeys(
    (
        keras.layers.Add,
        keras.layers.Average,
        keras.layers.Maximum,
        keras.layers.Minimum,
        keras.layers.Multiply,
        keras.layers.Subtract,
    ),
    _merging,
)
_LAYERS |= dict.fromkeys(
    (
        keras.layers.AveragePooling1D,
        keras.layers.AveragePooling2D,
        keras.layers.Cropping1D,
        keras.layers.Cropping2D,
        keras.layers.GlobalAveragePooling1D,
        keras.layers.GlobalAveragePooling2D,
        keras.layers.GlobalMaxPooling1D,
        keras.layers.GlobalMaxPooling2D,
        keras.layers.MaxPooling1D,
        keras.layers.MaxPooling2D,
        keras.layers.UpSampling1D,
        keras.layers.UpSampling2D,
    ),
    Rule.POOLING,
)
# Not those that make infinities of a masked channel's zeros, which no mask of
# its readers takes away again: divisions, logarithms, square roots (whose
# gradient is one).
_OPERATIONS |= dict.fromkeys(
    (
        "Absolute",
        "Cast",
        "Clip",
        "Elu",
        "Exp",
        "Gelu",
        "HardSigmoid",
        "HardSilu",
        "LeakyRelu",
        "Negative",
        "Relu",
        "Relu6",
        "Selu",
        "Sigmoid",
        "Silu",
        "Softplus",
        "Softsign",
        "Square",
        "Tanh",
        "Add",
        "Maximum",
        "Minimum",
        "Multiply",
        "Subtract",
    ),
    _merging,
)
_OPERATIONS |= dict.fromkeys(("Max", "Mean", "Min"), _reduction)
_OPERATIONS |= {"Concatenate": _concatenate, "Reshape": _reshape}
