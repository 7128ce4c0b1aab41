"""The heads of attention, which masks of granularity `"head"` remove.

A head is channels of several kernels: what the projections of query, key and
value make for it, and what the projection behind the heads reads of it.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import keras
import numpy as np

from hydra_tf.graph import Call
from hydra_tf.graph import class_of
from hydra_tf.graph import redefines
from hydra_tf.keras_internals import attention_gate
from hydra_tf.keras_internals import attention_projections
from hydra_tf.keras_internals import flatten_layers

# Why heads stay, in words that go on from "its channels".
SINGLE = "are all of a single head"
SEEN = "are seen by more than its projections (scores returned, masks by head)"

_MULTI_HEAD = keras.layers.MultiHeadAttention
_GROUPED = keras.layers.GroupQueryAttention


@dataclasses.dataclass(frozen=True)
class Projection:
    """A dense layer before or behind the heads.

    Attributes:
        layer: The layer.
        reads: Whether the heads are its inputs; else they are its outputs.
        heads: Int array, for each of its channels on that side which of the
            units of heads it belongs to; `None` if it stays whatever goes.
    """

    layer: Any
    reads: bool
    heads: np.ndarray | None


def is_attention(layer: Any) -> bool:
    """Whether a layer is a built attention of Keras, or a subclass."""
    return isinstance(layer, (_MULTI_HEAD, _GROUPED)) and layer.built


def attention_layers(model: keras.Model) -> list[Any]:
    """Returns the attention layers inside a model, whatever they are in."""
    return [layer for layer in flatten_layers(model) if is_attention(layer)]


def num_units(layer: Any) -> int:
    """Returns the number of units of heads that go or stay together.

    A unit is a head. Where several heads of queries share one of keys and
    values, it is these together: what is left has to have as many of the ones
    for each of the others. If all share a single one, that stays, and a unit
    is a head of queries.

    Args:
        layer: Attention layer.
    """
    queries, keys = _counts(layer)
    return keys if keys > 1 else queries


def projections(layer: Any) -> list[Projection]:
    """Returns the dense layers of an attention layer.

    Args:
        layer: Attention layer.
    """
    query, key, value, output = attention_projections(layer)
    gate = attention_gate(layer)
    queries, keys = _counts(layer)
    units = num_units(layer)
    of_queries: np.ndarray = np.arange(queries) // (queries // units)
    of_keys = np.arange(keys) if keys == units else None

    def projection(
        dense: Any, heads: np.ndarray | None, *, reads: bool = False
    ) -> Projection:
        # Kernels: (channels, heads, size), and (heads, size, channels).
        size = dense.kernel.shape[1 if reads else 2]
        if heads is not None:
            heads = np.repeat(heads, size)
        return Projection(dense, reads, heads)

    found = [
        projection(query, of_queries),
        projection(key, of_keys),
        projection(value, of_keys),
    ]
    if gate is not None:
        found.append(projection(gate, of_queries))
    return [*found, projection(output, of_queries, reads=True)]


def keeps_heads_apart(call: Call) -> bool:
    """Whether nothing but the projections of an attention sees its heads.

    Not if a subclass computes something else, or the call returns the scores
    of all heads or has a mask for each.

    Args:
        call: A call of an attention layer.
    """
    layer = call.operation
    cls = class_of(layer)
    base = _MULTI_HEAD if issubclass(cls, _MULTI_HEAD) else _GROUPED
    if redefines(cls, base) or len(call.outputs) != 1:
        return False
    if any(
        getattr(each.layer, "quantization_mode", None)
        or getattr(each.layer, "lora_enabled", False)
        for each in projections(layer)
    ):
        return False
    bound = inspect.signature(layer.call).bind(*call.args, **call.kwargs)
    mask = bound.arguments.get("attention_mask")
    return mask is None or len(mask.shape) <= len(call.input_shapes[0])


def smaller_config(layer: Any, count: int) -> dict[str, Any]:
    """Returns what the configuration says with fewer heads.

    Args:
        layer: Attention layer.
        count: Number of units that stay.
    """
    if isinstance(layer, _MULTI_HEAD):
        return {"num_heads": count}
    queries, keys = _counts(layer)
    units = num_units(layer)
    return {
        "num_query_heads": count * (queries // units),
        "num_key_value_heads": count if keys == units else keys,
    }


def _counts(layer: Any) -> tuple[int, int]:
    """The number of heads of queries, and of keys and values."""
    query, key, *_ = attention_projections(layer)
    return query.kernel.shape[1], key.kernel.shape[1]
