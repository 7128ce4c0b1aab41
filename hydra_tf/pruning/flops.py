"""Floating-point operations of layers: how often each weight is used."""

from __future__ import annotations

import inspect
import math
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import Call
from hydra_tf.graph import walk
from hydra_tf.layers.mask_view import owner_of
from hydra_tf.pruning.channels.attention import attention_layers
from hydra_tf.pruning.channels.attention import is_attention
from hydra_tf.pruning.channels.attention import projections
from hydra_tf.pruning.channels.rules import has_kernel
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.registry.methods import RESOURCE

_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_COUNTED = (
    *_TRANSPOSED,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.EinsumDense,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)

# A multiplication and an addition for each weight and position.
_PER_USE = 2


def layer_flops(
    layer: Any, input_shape: tuple, output_shape: tuple
) -> int | None:
    """Returns the operations of one call of a layer on one example.

    Args:
        layer: Built dense layer or convolution, masked or plain.
        input_shape: Of its input, the batch included.
        output_shape: Likewise of its output.

    Returns:
        Two for each entry of the kernel and position at which it is applied;
        `None` if a size is open.
    """
    positions = _positions(layer, input_shape, output_shape)
    if None in positions:
        return None
    return _PER_USE * math.prod(layer.kernel.shape) * math.prod(positions)


def _positions(layer: Any, input_shape: tuple, output_shape: tuple) -> tuple:
    """Returns at how many positions a weight is applied, by axes."""
    if isinstance(layer, keras.layers.EinsumDense):
        return _einsum_positions(layer.equation, input_shape)
    if isinstance(layer, keras.layers.Dense):
        return output_shape[1:-1]
    # A transposed convolution applies its kernel at every input position,
    # the others at every output position.
    shape = input_shape if isinstance(layer, _TRANSPOSED) else output_shape
    last = layer.data_format == "channels_last"
    return shape[1:-1] if last else shape[2:]


def _einsum_positions(equation: str, input_shape: tuple) -> tuple:
    terms = equation.replace(" ", "").split("->")[0]
    source, kernel = terms.split(",")
    if source.startswith("..."):
        # From the end; the batch is among what the dots stand for.
        letters = source[3:]
        named = len(input_shape) - len(letters)
        source = "." * named + letters
    sizes = zip(source[1:], input_shape[1:], strict=False)
    return tuple(size for letter, size in sizes if letter not in kernel)


def flops_by_layer(model: keras.Model) -> dict[str, int | None]:
    """Returns the operations of a model's masked weights, by their names.

    Args:
        model: Model with masked layers; see `masked_layer_flops`.
    """
    shapes: dict[int, tuple] = {}
    for layer in attention_layers(model):
        shapes |= _shapes_at_projections(layer)
    layers = masked_layers(model)

    def flops() -> dict[str, int | None]:
        return {
            name: masked_layer_flops(layer, shapes.get(id(owner_of(layer))))
            for name, layer in layers.items()
        }

    found = flops()
    if None in found.values():
        # Layers inside others may have been built for any number of positions.
        shapes |= _shapes_at_calls(model)
        found = flops()
    return found


def _shapes_at_calls(model: keras.Model) -> dict[int, tuple]:
    """Returns the input shapes of layers by identity, as far as they show."""
    try:
        walked = walk(model)
    except InputError:
        return {}
    shapes: dict[int, tuple] = {}
    for call in reversed(walked.calls):
        if has_kernel(call.operation):
            shapes[id(call.operation)] = call.input_shapes[0]
        elif is_attention(call.operation):
            shapes |= _shapes_at_projections(call.operation, call)
    return shapes


def masked_layer_flops(
    layer: Any, input_shape: tuple | None = None
) -> int | None:
    """Returns the operations of a built masked weight, zeros included.

    Args:
        layer: Masked layer, or one weight of it.
        input_shape: Of its input, the batch included; by default that which it
            was built for.

    Returns:
        Operations of one call on one example; 0 of an embedding, which looks
        rows up; `None` if a size is open, and for kinds of layers of which it
        is not known how they use their weights, such as recurrent cells.
    """
    owner = owner_of(layer)
    if isinstance(owner, keras.layers.Embedding):
        return 0
    shape = input_shape or owner.built_input_shape
    if shape is None or not isinstance(owner, _COUNTED):
        return None
    positions = _positions(owner, shape, owner.compute_output_shape(shape))
    if None in positions:
        return None
    return _PER_USE * math.prod(layer.kernel.shape) * math.prod(positions)


def model_flops(model: keras.Model) -> int | None:
    """Returns the operations of all dense layers and convolutions of a model.

    Args:
        model: Model that can be walked. A layer that is called twice counts
            twice, one inside of what the graph does not show not at all.
    """
    flops: list[int | None] = []
    for call in walk(model).calls:
        layer = call.operation
        if has_kernel(layer):
            shape = call.input_shapes[0]
            flops.append(layer_flops(layer, shape, call.output_shape))
        elif is_attention(layer):
            flops += _attention_flops(call)
    return total(flops)


def _attention_flops(call: Call) -> list[int | None]:
    shapes = _shapes_at_projections(call.operation, call)
    return [
        layer_flops(each.layer, shapes[id(each.layer)], ())
        if id(each.layer) in shapes
        else None
        for each in projections(call.operation)
    ]


def _shapes_at_projections(
    layer: Any, call: Call | None = None
) -> dict[int, tuple]:
    """Returns the input shapes of an attention's dense layers by identity.

    Keras builds the one behind the heads for any number of tokens, and where
    the attention is inside another layer that may have built all so.

    Args:
        layer: The attention.
        call: A call of it, if one is known.
    """
    *before, output = projections(layer)
    shapes = {}
    for each in before:
        shape = (each.layer.get_build_config() or {}).get("input_shape")
        if shape is not None:
            shapes[id(each.layer)] = tuple(shape)
    if call is not None:
        given = inspect.signature(layer.call).bind(*call.args, **call.kwargs)
        query, value = (given.arguments[name] for name in ("query", "value"))
        key = given.arguments.get("key")
        read = [query, value if key is None else key, value, query]
        for each, tensor in zip(before, read, strict=False):
            shapes[id(each.layer)] = tensor.shape
    shape = shapes.get(id(before[0].layer))
    if shape is not None:
        heads = output.layer.kernel.shape[:2]
        shapes[id(output.layer)] = (*shape[:-1], *heads)
    return shapes


def total(flops: Any) -> int | None:
    """Returns the sum, `None` if one is unknown."""
    flops = list(flops)
    return None if None in flops else sum(flops)


def check_resource(resource: Any) -> None:
    """Raises `InputError` unless an argument names what is to be saved."""
    RESOURCE.check(resource)


def kernel_costs(model: keras.Model, resource: str) -> dict[str, int]:
    """Returns what all weights of each masked kernel together cost, by name.

    Args:
        model: Model with masked layers, built.
        resource: `"weights"` or `"flops"`.

    Raises:
        InputError: If FLOPs are unknown.
    """
    if resource == "weights":
        return {
            name: math.prod(layer.kernel.shape)
            for name, layer in masked_layers(model).items()
        }
    costs = {}
    for name, flops in flops_by_layer(model).items():
        if flops is None:
            raise InputError(
                "`resource` cannot be 'flops': how often layer "
                f"'{name}' uses its weights is unknown, as the model takes "
                "images of any size or its kind is not counted. Build it for "
                "one size, or use 'weights'"
            )
        costs[name] = flops
    return costs
