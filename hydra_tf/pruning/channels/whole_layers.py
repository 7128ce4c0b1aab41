"""Layers that keep all their channels or heads, and why."""

from __future__ import annotations

import collections
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.layers import MaskedLayer
from hydra_tf.pruning.channels.attention import attention_layers
from hydra_tf.pruning.channels.attention import projections
from hydra_tf.pruning.channels.flow import INPUTS
from hydra_tf.pruning.channels.flow import OUTPUTS
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.registry.granularities import HEAD
from hydra_tf.registry.granularities import NEURON
from hydra_tf.registry.granularities import READ
from hydra_tf.registry.granularities import units_of
from hydra_tf.text import some_names

# In the reasons of layers that the graph does not show.
_UNKNOWN = "lie where no rule follows them"
_UNREAD = "are read by no masked layer"
_HEADS = (
    "are heads of attention, of which granularity 'head' removes whole ones"
)

# What has to be there, by granularity.
_NEEDED = {
    HEAD: "layers MultiHeadAttention or GroupedQueryAttention with two heads "
    "or more",
    NEURON: "a Dense or EinsumDense whose outputs no layers but such read, "
    "behind activations, dropout and the like",
}


def whole_layers(model: keras.Model) -> dict[str, str]:
    """Returns the masked layers whose channels cannot be removed, and why.

    Args:
        model: Model with masked layers of granularity `"channel"` or
            `"filter"`.

    Returns:
        Why they stay, by the names of the layers, in words such as `"are the
        model's inputs"`.
    """
    flow = channel_flow(model, lambda layer: isinstance(layer, MaskedLayer))
    why = dict.fromkeys(
        (int(unit) for units in flow.heads.values() for unit in units), _HEADS
    )
    why |= flow.reasons
    sides = {id(entry.layer): entry for entry in flow.layers}
    found = {}
    for name, layer in masked_layers(model).items():
        if layer.prunable:
            continue
        entry = sides.get(id(layer))
        if entry is None:
            found[name] = _UNKNOWN
            continue
        reads = layer.granularity in READ
        units = entry.inputs if reads else entry.outputs
        reasons = collections.Counter(
            why.get(unit, _UNREAD) for unit in np.unique(units).tolist()
        )
        found[name] = reasons.most_common(1)[0][0]
    return found


def check_channels_can_go(model: keras.Model) -> None:
    """Raises `InputError` if all masked layers of a model keep all channels.

    Args:
        model: Model, with masked layers of any granularity.
    """
    layers = masked_layers(model).values()
    if not layers or any(layer.prunable for layer in layers):
        return
    granularity = next(iter(layers)).granularity
    raise InputError(
        f"model '{model.name}' has no channels that can be removed with "
        f"`granularity='{granularity}'`, whatever the density: "
        f"{_why(whole_layers(model))}"
    )


def whole_attention(
    model: keras.Model, is_prunable: Callable[[Any], bool]
) -> dict[str, str]:
    """Returns the attention layers whose heads cannot be removed, and why.

    Not those of which nothing is going to be masked.

    Args:
        model: Plain Functional or Sequential model.
        is_prunable: Predicate of the layers that are going to be masked.

    Returns:
        Why they stay, by the names of the layers, as from `whole_layers`.
    """
    flow = channel_flow(model, is_prunable)
    found = {}
    for layer in attention_layers(model):
        if not any(is_prunable(each.layer) for each in projections(layer)):
            continue
        if id(layer) not in flow.heads:
            found[layer.name] = _UNKNOWN
            continue
        units = flow.heads[id(layer)].tolist()
        reasons = [flow.reasons[each] for each in units if each in flow.reasons]
        if len(reasons) == len(units):
            found[layer.name] = reasons[0]
    return found


def no_parts(
    model: keras.Model, granularity: str, is_prunable: Callable[[Any], bool]
) -> InputError:
    """Returns the error about a model without heads or neurons to remove.

    Args:
        model: Plain Functional or Sequential model.
        granularity: `"head"` or `"neuron"`.
        is_prunable: Predicate of the layers that could be masked.
    """
    whole = whole_attention(model, is_prunable) if granularity == HEAD else {}
    return InputError(
        f"model '{model.name}' has no {units_of(granularity)} that can be "
        f"removed: `granularity='{granularity}'` needs {_NEEDED[granularity]}"
        + (f" ({_why(whole)})" if whole else "")
    )


def warn_of_whole_attention(
    model: keras.Model, is_prunable: Callable[[Any], bool]
) -> None:
    """Warns of attention layers that keep all their heads.

    Args:
        model: As for `whole_attention`.
        is_prunable: Likewise.
    """
    whole = whole_attention(model, is_prunable)
    if whole:
        warnings.warn(
            f"{len(whole)} of {len(attention_layers(model))} attention layers "
            f"keep all their heads, whatever the density: {_why(whole)}",
            UserWarning,
            # At the line that calls `to_masked`.
            stacklevel=3,
        )


def warn_of_whole_layers(model: keras.Model) -> None:
    """Warns of masked layers that keep all their channels.

    Not of those that read the images or make the outputs.

    Args:
        model: As for `whole_layers`.
    """
    whole = {
        name: reason
        for name, reason in whole_layers(model).items()
        if reason not in (INPUTS, OUTPUTS)
    }
    if whole:
        warnings.warn(
            f"{len(whole)} of {len(masked_layers(model))} masked layers keep "
            f"all their channels, whatever the density: {_why(whole)}",
            UserWarning,
            # At the line that calls `to_masked`.
            stacklevel=3,
        )


def _why(whole: dict[str, str]) -> str:
    names = collections.defaultdict(list)
    for name, reason in whole.items():
        names[reason].append(name)
    reasons = [
        f"those of {some_names(names)} {reason}"
        for reason, names in names.items()
    ]
    shown = "; ".join(reasons[:4])
    rest = len(reasons) - 4
    return shown + (f"; {rest} more reasons" if rest > 0 else "")
