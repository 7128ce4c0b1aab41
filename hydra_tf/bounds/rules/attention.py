"""Rules of softmax and of attention."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.bounds.operations import Applied
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.products import MatMul
from hydra_tf.bounds.products import WeightedMean
from hydra_tf.bounds.rules.axes import on_last_axis
from hydra_tf.bounds.rules.axes import without_batch
from hydra_tf.bounds.rules.kernels import bias_of
from hydra_tf.bounds.rules.kernels import kernel_of
from hydra_tf.bounds.rules.registration import register_named_rule
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.bounds.softmax import Softmax
from hydra_tf.graph import Call
from hydra_tf.keras_internals import attention_projections


@register_rule(keras.layers.Softmax)
def _softmax(layer: Any, shapes: list[tuple]) -> list[Operation]:
    return _softmax_along(layer.axis, layer, shapes)


@register_named_rule("Softmax")
def _softmax_operation(operation: Any, shapes: list[tuple]) -> list[Operation]:
    return _softmax_along(operation.axis, operation, shapes)


def _softmax_along(
    axis: Any, layer: Any, shapes: list[tuple]
) -> list[Operation]:
    if len(shapes) != 1:
        raise unsupported(layer.name, layer, "it is called with a mask")
    axes = without_batch(axis, len(shapes[0]))
    if -1 in axes:
        raise unsupported(layer.name, layer, "it mixes the rows of a batch")
    return on_last_axis(Softmax(), axes, shapes[0])


@register_rule(
    keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention
)
def _attention(layer: Any, shapes: list[tuple], call: Call) -> Applied:
    """Attention from every token to every one, without masks."""
    inputs = _inputs(layer, call)
    if any(len(shape) != 2 for shape in shapes):
        raise unsupported(
            layer.name,
            layer,
            "its inputs must be (batch, tokens, channels), not "
            f"{[(None, *shape) for shape in shapes]}",
        )
    config = layer.get_config()
    for name in ("use_gate", "sliding_window"):
        if config.get(name):
            raise unsupported(
                layer.name, layer, f"it has {name}={config[name]}"
            )
    query, key, value, output = attention_projections(layer)
    kernel = kernel_of(output)
    if len(kernel.shape) != 3:
        raise unsupported(
            layer.name, layer, f"its output_shape is {kernel.shape[2:]}"
        )
    # (channels, heads, size of a head)
    size = query.kernel.shape[2]
    repeats = query.kernel.shape[1] // key.kernel.shape[1]
    project = functools.partial(_projection, repeats=repeats)
    queries = Applied(
        _projection(query, scale=1 / math.sqrt(size)), [inputs[0]], "query"
    )
    keys = Applied(project(key, transposed=True), [inputs[1]], "key")
    values = Applied(project(value), [inputs[2]], "value")
    scores = Applied(MatMul(), [queries, keys], "scores")
    weights = Applied(Softmax(), [scores], "weights")
    heads = Applied(WeightedMean(), [weights, values], "heads")
    joined = Linear(
        lambda x, kernel: tf.einsum("bntd,ndc->btc", x, kernel),
        kernel=kernel,
        bias=bias_of(output),
        transpose=lambda rows, kernel, _: tf.einsum(
            "btc,ndc->bntd", rows, kernel
        ),
    )
    return Applied(joined, [heads])


def _inputs(layer: Any, call: Call) -> list[int]:
    """Returns the numbers of the inputs that are query, key and value."""
    bound = inspect.signature(layer.call).bind(*call.args, **call.kwargs)
    given = {
        name: value
        for name, value in bound.arguments.items()
        if value is not None and value is not False
    }
    others = given.keys() - {"query", "value", "key"}
    if others:
        raise unsupported(
            layer.name, layer, f"it is called with {', '.join(sorted(others))}"
        )
    given.setdefault("key", given["value"])
    return [
        call.inputs.index(given[name]) for name in ("query", "key", "value")
    ]


def _projection(
    layer: Any,
    repeats: int = 1,
    scale: float = 1.0,
    *,
    transposed: bool = False,
) -> Linear:
    """Returns the map of tokens to heads, `(heads, tokens, size)`.

    Args:
        layer: The dense layer.
        repeats: How often each head is there.
        scale: What the outputs are multiplied by.
        transposed: Whether tokens are the last axis instead.
    """
    kernel = tf.repeat(kernel_of(layer) * scale, repeats, axis=1)
    heads = "bndt" if transposed else "bntd"
    bias = bias_of(layer)
    if bias is not None:
        bias = tf.repeat(bias * scale, repeats, axis=0)
        bias = tf.expand_dims(bias, -1 if transposed else -2)
    return Linear(
        lambda x, kernel: tf.einsum(f"btc,cnd->{heads}", x, kernel),
        kernel=kernel,
        bias=bias,
        transpose=lambda rows, kernel, _: tf.einsum(
            f"{heads},cnd->btc", rows, kernel
        ),
    )
