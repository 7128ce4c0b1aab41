"""Which weights lie on a path from the inputs of a network to its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.graph import Call
from hydra_tf.graph import Value
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.pruning.channels import attention
from hydra_tf.pruning.channels.flow import ChannelFlow
from hydra_tf.pruning.channels.rules import KERNEL_RULES
from hydra_tf.pruning.channels.rules import Rule
from hydra_tf.pruning.channels.rules import activation_maps_entries
from hydra_tf.pruning.channels.rules import has_kernel
from hydra_tf.pruning.channels.rules import kernel_axes
from hydra_tf.pruning.channels.rules import rule_of


def weights_on_paths(
    flow: ChannelFlow, kept: Mapping[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Returns which of the kept weights lead from inputs to outputs.

    A weight is on a path if kept weights lead from an input to what it reads,
    and from what it makes to an output. What reads channels that no input leads
    to makes a constant and is on none, also where the constant scales others.
    Channels are followed through every call of the network: what is added up,
    joined, pooled and so on. Layers whose channels can't be followed lead from
    each to each; no weight of a path is missed, but one of theirs on none may
    be taken for one's.

    Args:
        flow: The channels of the network.
        kept: Bool arrays of the kernels' shapes by the identity of their
            layers; weights of other layers are all there.

    Returns:
        Bool arrays by the same keys, of layers that are part of the flow.
    """
    links = [_Link(call, kept) for call in flow.walk.calls]
    led_to: dict[int, np.ndarray] = {
        value.number: np.ones(_num_channels(value), bool)
        for value in flow.walk.inputs
    }
    for link in links:
        given = [led_to[value.number] for value in link.call.inputs]
        for value in link.call.outputs:
            led_to[value.number] = link.forward(given, _num_channels(value))
    led_from = {number: np.zeros_like(each) for number, each in led_to.items()}
    for value in flow.walk.outputs:
        led_from[value.number][:] = True
    for link in reversed(links):
        for made in link.call.outputs:
            read = link.backward(led_from[made.number])
            for value, channels in zip(link.call.inputs, read, strict=True):
                led_from[value.number] |= channels
    on_paths = {
        key: np.zeros_like(kept[key])
        for key in (id(each.layer) for each in flow.layers)
        if key in kept
    }
    for link in links:
        for layer in link.layers:
            if id(layer) in on_paths:
                on_paths[id(layer)] |= link.along_kernel(
                    layer, led_to, led_from
                )
    return on_paths | _in_attention(flow, kept)


def _num_channels(value: Value) -> int:
    """Returns the size of the last axis, 1 if it is not known."""
    size = value.shape[-1] if len(value.shape) > 1 else None
    return 1 if size is None else size


class _Link:
    """From which channels that a call reads to which that it makes one comes.

    Args:
        call: The call.
        kept: See `weights_on_paths`.
    """

    def __init__(self, call: Call, kept: Mapping[int, np.ndarray]) -> None:
        self.call = call
        self._kept = kept
        self._rule = _rule(call)
        self._sizes = [_num_channels(value) for value in call.inputs]
        if self._rule in KERNEL_RULES:
            self._leads = _leads(call.operation, kept)
        elif self._rule is Rule.RESHAPE:
            # The channel that each entry is of, by rows of the result.
            shape: tuple = call.input_shapes[0][1:]
            entries = np.broadcast_to(np.arange(self._sizes[0]), shape)
            self._origins = entries.reshape(-1, call.output_shape[-1])

    def forward(self, given: Sequence[np.ndarray], size: int) -> np.ndarray:
        """Returns which of an output's channels come from some of the inputs'.

        Args:
            given: Bool arrays, those of each input.
            size: Number of the output's.
        """
        if self._rule in KERNEL_RULES:
            return self._leads[given[0]].any(axis=0)
        if self._rule is Rule.RESHAPE:
            return given[0][self._origins].any(axis=0)
        if self._rule is Rule.CONCATENATE:
            return np.concatenate(given)
        if self._rule is Rule.OPAQUE:
            # What reads no tensor makes channels of its own.
            anything = not given or any(each.any() for each in given)
            return np.full(size, anything)
        # Others, such as the mask of a sequence, are no entries of channels.
        entries = [each for each in given if len(each) in (1, size)]
        if not entries:
            return np.full(size, any(each.any() for each in given))
        return np.logical_or.reduce(
            [np.broadcast_to(each, size) for each in entries]
        )

    def backward(self, made: np.ndarray) -> list[np.ndarray]:
        """Returns which of each input's channels some of an output's come from.

        Args:
            made: Bool array, those of the output.
        """
        if self._rule in KERNEL_RULES:
            return [np.any(self._leads[:, made], axis=1)]
        if self._rule is Rule.RESHAPE:
            read: np.ndarray = np.zeros(self._sizes[0], bool)
            read[self._origins[:, made]] = True
            return [read]
        if self._rule is Rule.CONCATENATE:
            return np.split(made, np.cumsum(self._sizes)[:-1])
        if self._rule is Rule.OPAQUE:
            return [np.full(size, made.any()) for size in self._sizes]
        return [
            made if size == len(made) else np.full(size, made.any())
            for size in self._sizes
        ]

    @property
    def layers(self) -> list[Any]:
        """The layers whose kernels the call may read."""
        operation = self.call.operation
        if self._rule is Rule.OPAQUE and isinstance(operation, keras.Layer):
            return flatten_layers(operation)
        return [operation]

    def along_kernel(
        self,
        layer: Any,
        led_to: Mapping[int, np.ndarray],
        led_from: Mapping[int, np.ndarray],
    ) -> np.ndarray:
        """Returns which of the kept weights this call has on a path.

        Args:
            layer: One of `layers`.
            led_to: Bool arrays by the numbers of values: which channels an
                input leads to.
            led_from: Likewise: which lead to an output.
        """
        kept = self._kept[id(layer)]
        if self._rule not in KERNEL_RULES:
            return kept
        inputs = led_to[self.call.inputs[0].number]
        outputs = led_from[self.call.outputs[0].number]
        return kept & _along_kernel(layer, inputs, outputs)


def _rule(call: Call) -> Rule:
    """Returns what a call does with channels, `OPAQUE` if not one by one."""
    if len(call.outputs) != 1 or any(
        shape[-1:] in ((), (None,))
        for shape in (*call.input_shapes, call.output_shape)
    ):
        return Rule.OPAQUE
    if has_kernel(call.operation) and not activation_maps_entries(
        call.operation.activation
    ):
        return Rule.OPAQUE
    return rule_of(call)


def _leads(layer: Any, kept: Mapping[int, np.ndarray]) -> np.ndarray:
    """Returns a bool array `(inputs, outputs)`: which lead to which."""
    axes = kernel_axes(layer)
    kernel = axes.unfolded(kept.get(id(layer), np.ones(axes.shape, bool)))
    leads = np.any(kernel, axis=tuple(range(kernel.ndim - 2)))
    if not _is_depthwise(layer):
        return leads
    count, multiplier = leads.shape
    each: np.ndarray = np.zeros((count, count, multiplier), bool)
    each[np.arange(count), np.arange(count)] = leads
    return each.reshape(count, -1)


def _along_kernel(
    layer: Any, inputs: np.ndarray, outputs: np.ndarray
) -> np.ndarray:
    """Returns which pairs of channels count, shaped to act on the kernel."""
    if _is_depthwise(layer):
        outputs = outputs.reshape(len(inputs), -1)
    axes = kernel_axes(layer)
    shape = axes.unfolded(np.empty(axes.shape, bool)).shape
    both = inputs[:, np.newaxis] & outputs
    return axes.folded(np.broadcast_to(both, shape))


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D)


def _in_attention(
    flow: ChannelFlow, kept: Mapping[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Returns which of the kept weights of attention layers are on a path.

    Paths lead through the heads that something is projected to, and that are
    projected to something.
    """
    on_paths: dict[int, np.ndarray] = {}
    for call in flow.walk.calls:
        if id(call.operation) not in flow.heads:
            continue
        layers = attention.projections(call.operation)
        count = attention.num_units(call.operation)
        is_seen = not attention.keeps_heads_apart(call)
        made, read = np.full(count, is_seen), np.full(count, is_seen)
        for each in layers:
            led = _leads(each.layer, kept).any(axis=int(each.reads))
            # All heads share keys and values that are no head's.
            heads = slice(None) if each.heads is None else each.heads[led]
            if led.any():
                (read if each.reads else made)[heads] = True
        for each in layers:
            key, axes = id(each.layer), kernel_axes(each.layer)
            if key not in kept:
                continue
            inputs: np.ndarray = np.ones(axes.num_inputs, bool)
            outputs: np.ndarray = np.ones(axes.num_outputs, bool)
            if each.heads is not None and each.reads:
                inputs = made[each.heads]
            elif each.heads is not None:
                outputs = read[each.heads]
            found = kept[key] & _along_kernel(each.layer, inputs, outputs)
            on_paths[key] = on_paths.get(key, False) | found
    return on_paths
