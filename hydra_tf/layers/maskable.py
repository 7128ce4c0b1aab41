"""Which weights of which Keras layers can be masked, and their axes."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.keras_internals import ConvLSTMCell
from hydra_tf.layers.kernel_axes import KernelAxes

# From a layer and the shape of its weight.
Axes = Callable[[Any, tuple[int, ...]], KernelAxes]


def _kernel(layer: Any, shape: tuple[int, ...]) -> KernelAxes:
    return KernelAxes(shape)


def _transposed(layer: Any, shape: tuple[int, ...]) -> KernelAxes:
    # (height, width, filters, channels)
    return KernelAxes(shape, inputs=(-1,), outputs=(-2,))


def _depthwise(layer: Any, shape: tuple[int, ...]) -> KernelAxes:
    return KernelAxes(shape, inputs=(-2,), outputs=(-2, -1))


def _einsum(layer: Any, shape: tuple[int, ...]) -> KernelAxes:
    terms, result = layer.equation.replace(" ", "").split("->")
    source, kernel = terms.split(",")
    axes = dict(zip(kernel, range(-len(kernel), 0), strict=True))
    outputs = tuple(axis for each, axis in axes.items() if each in result)
    summed = tuple(axis for each, axis in axes.items() if each not in result)
    read = tuple(axis for each, axis in axes.items() if each in source)
    return KernelAxes(shape, inputs=summed or read, outputs=outputs)


def _registered(layer: Any, shape: tuple[int, ...]) -> KernelAxes:
    if len(shape) > 1:
        return KernelAxes(shape)
    return KernelAxes(shape, inputs=(-1,), outputs=(-1,))


_CELL = {"kernel": _kernel, "recurrent_kernel": _kernel}
_SEPARABLE = {"depthwise_kernel": _depthwise, "pointwise_kernel": _kernel}
# The rows of its table are what single inputs read: its input channels.
_EMBEDDING = {"embeddings": _kernel}

_ROWS: dict[type, Mapping[str, Axes]] = {
    keras.layers.Dense: {"kernel": _kernel},
    keras.layers.EinsumDense: {"kernel": _einsum},
    keras.layers.Conv1D: {"kernel": _kernel},
    keras.layers.Conv2D: {"kernel": _kernel},
    keras.layers.Conv3D: {"kernel": _kernel},
    keras.layers.Conv1DTranspose: {"kernel": _transposed},
    keras.layers.Conv2DTranspose: {"kernel": _transposed},
    keras.layers.Conv3DTranspose: {"kernel": _transposed},
    keras.layers.DepthwiseConv1D: {"kernel": _depthwise},
    keras.layers.DepthwiseConv2D: {"kernel": _depthwise},
    keras.layers.SeparableConv1D: _SEPARABLE,
    keras.layers.SeparableConv2D: _SEPARABLE,
    keras.layers.Embedding: _EMBEDDING,
    keras.layers.ReversibleEmbedding: {
        **_EMBEDDING,
        "reverse_embeddings": _kernel,
    },
    keras.layers.SimpleRNNCell: _CELL,
    keras.layers.GRUCell: _CELL,
    keras.layers.LSTMCell: _CELL,
    ConvLSTMCell: _CELL,
}
_OF_KERAS = tuple(_ROWS)


def register_maskable(
    layer_class: type[keras.layers.Layer], weights: Sequence[str]
) -> None:
    """Lets `to_masked` mask weights of a layer class of one's own.

    Not needed for a subclass of a Keras layer that it masks anyway, nor for a
    layer that is made of such layers. Subclasses of the class are masked as
    well. Along the last axis of a weight are its outputs, along the one before
    its inputs.

    Args:
        layer_class: Subclass of `keras.layers.Layer`.
        weights: Names of the attributes that hold the weights, which the
            layer's `call` reads from there. Others stay dense.

    Raises:
        InputError: If they are none, or the class is one of Keras that is
            masked anyway.

    Example:

    >>> import hydra_tf
    >>> class Bilinear(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         size = input_shape[-1]
    ...         self.form = self.add_weight(shape=(size, size))
    ...
    ...     def call(self, inputs):
    ...         return keras.ops.matmul(inputs, self.form) * inputs
    >>> hydra_tf.register_maskable(Bilinear, weights=["form"])
    >>> model = keras.Sequential([keras.Input((4,)), Bilinear(name="form")])
    >>> list(hydra_tf.masked_layers(hydra_tf.to_masked(model)))
    ['form/form']
    """
    if not (
        isinstance(layer_class, type)
        and issubclass(layer_class, keras.layers.Layer)
    ):
        raise InputError(
            "`layer_class` must be a class of Keras layers. "
            f"Received: layer_class={layer_class!r}"
        )
    if layer_class in _OF_KERAS:
        raise InputError(
            "`layer_class` must be a class of your own, as that of Keras is "
            f"masked by {list(_ROWS[layer_class])}: derive one from it. "
            f"Received: layer_class={layer_class!r}"
        )
    if (
        isinstance(weights, str)
        or not isinstance(weights, Sequence)
        or not weights
        or not all(isinstance(each, str) and each for each in weights)
        or len(set(weights)) < len(weights)
    ):
        raise InputError(
            "`weights` must be a list of names of attributes, each once, such "
            f"as ['kernel']. Received: weights={weights!r}"
        )
    _ROWS[layer_class] = dict.fromkeys(weights, _registered)


def weights_of_class(layer_class: type) -> Mapping[str, Axes]:
    """Returns the weights to mask of a class of layers, by attribute.

    Those of the nearest base class that has any; none if there is none.
    """
    base = listed_base(layer_class)
    return {} if base is None else _ROWS[base]


def listed_base(layer_class: type) -> type | None:
    """Returns the class that says which weights of a class are masked.

    The class itself or the nearest base class; `None` if there is none.
    """
    return next((each for each in layer_class.__mro__ if each in _ROWS), None)


def axes_of_weights(layer: Any) -> dict[str, KernelAxes]:
    """Returns the axes of the weights of a built layer that can be masked.

    Args:
        layer: Plain layer.

    Raises:
        InputError: If it has not the weights that it was registered with.
    """
    found = {}
    for name, axes in weights_of_class(type(layer)).items():
        variable = getattr(layer, name, None)
        if isinstance(variable, keras.Variable):
            found[name] = axes(layer, tuple(variable.shape))
        elif axes is _registered:
            raise InputError(
                f"layer '{layer.name}' ({type(layer).__name__}) has no weight "
                f"in its attribute '{name}', which register_maskable was given"
            )
    return found
