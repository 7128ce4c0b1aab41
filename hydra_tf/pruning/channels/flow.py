"""Which channels of a network have to live or die together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.graph import Call
from hydra_tf.graph import Value
from hydra_tf.graph import Walk
from hydra_tf.graph import walk
from hydra_tf.pruning.channels import attention
from hydra_tf.pruning.channels.rules import KERNEL_RULES
from hydra_tf.pruning.channels.rules import Rule
from hydra_tf.pruning.channels.rules import activation_maps_entries
from hydra_tf.pruning.channels.rules import has_kernel
from hydra_tf.pruning.channels.rules import has_weights
from hydra_tf.pruning.channels.rules import kernel_axes
from hydra_tf.pruning.channels.rules import rule_of

# Whose channels nobody expects to go.
INPUTS = "are the model's inputs"
OUTPUTS = "are the model's outputs"


@dataclasses.dataclass(frozen=True)
class LayerChannels:
    """The units at both sides of a layer's kernel.

    Attributes:
        name: The layer's name, after those of the nested models it is in.
        layer: The layer.
        inputs: Int array, the unit of each position of the kernel's input axis
            (for a dense layer behind a flattening, of each of its entries).
        outputs: Int array, the unit of each output channel. Those of a
            depthwise convolution are its inputs' units, each repeated
            `depth_multiplier` times.
    """

    name: str
    layer: Any
    inputs: np.ndarray
    outputs: np.ndarray


@dataclasses.dataclass(frozen=True)
class ChannelFlow:
    """The units of a network.

    A unit is a set of channels that have to be kept or removed together, in all
    the tensors where they appear. Units are numbered from 0 in graph order.

    Attributes:
        layers: The layers with kernels (Dense, EinsumDense, Conv1D, Conv2D,
            Conv2DTranspose, DepthwiseConv2D, the projections of attention, and
            their masked counterparts) in graph order, each once.
        reasons: Why each pinned unit can't be removed, in words that go on
            from "its channels".
        values: For each value of the walk the units of its last axis; `None`
            where its size is not known.
        walk: The calls of the model's layers.
        heads: The units that are heads of attention, by the identity of the
            attention layer.
    """

    layers: list[LayerChannels]
    reasons: dict[int, str]
    values: dict[int, np.ndarray | None]
    walk: Walk
    heads: dict[int, np.ndarray]

    @property
    def pinned(self) -> set[int]:
        """The units that can't be removed.

        They belong to the model's inputs or outputs, or something reads or
        makes them that is not prunable or not known to treat channels one by
        one.
        """
        return set(self.reasons)


def channel_flow(
    model: keras.Model,
    is_prunable: Callable[[Any], bool] = lambda layer: True,
    is_leaf: Callable[[Any], bool] = lambda layer: False,
) -> ChannelFlow:
    """Finds the units of a network from its graph.

    Dense layers and convolutions end the channels that they read and begin
    others. Depthwise convolutions, activations, batch normalisation, pooling,
    padding and the like pass channels on; additions and other layers of several
    inputs tie those of their inputs together, concatenations string them
    together; flattening repeats them. Whatever else is met pins what it reads
    and makes: grouped and `channels_first` convolutions, softmax, layer
    normalisation, layers of others. So does attention, whose heads are units
    inside of it.

    Args:
        model: A built model, plain or masked, that can be walked.
        is_prunable: Predicate of layers with kernels. What the others read and
            make is pinned.
        is_leaf: Which nested models and composite layers to take as one call.

    Raises:
        InputError: If the model does not show the calls of its layers, or is
            not built.
    """
    walked = walk(model, is_leaf)
    tracer = _Tracer(is_prunable)
    for value in walked.inputs:
        tracer.set_pinned(value, INPUTS)
    for call in walked.calls:
        tracer.record(call)
    for value in walked.outputs:
        tracer.pin(tracer.values[value.number], OUTPUTS)
    return tracer.result(walked)


def _layer(call: Call) -> str:
    return f"'{call.name}' ({type(call.operation).__name__})"


def _words(call: Call) -> str:
    return f"are shared with {_layer(call)}, which cannot lose any"


class _Tracer:
    """Follows channels through calls; joins them with a union-find."""

    def __init__(self, is_prunable: Callable[[Any], bool]) -> None:
        self.values: dict[int, np.ndarray | None] = {}
        self._is_prunable = is_prunable
        self._parents: list[int] = []
        self._pinned: list[tuple[np.ndarray, str]] = []
        # By identity: a layer that is called several times is one.
        self._layers: dict[int, LayerChannels] = {}
        self._weighted: dict[int, np.ndarray] = {}
        self._heads: dict[int, np.ndarray] = {}

    # --- units ---------------------------------------------------------------

    def _new(self, count: int) -> np.ndarray:
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return np.arange(start, start + count)

    def _new_pinned(self, count: int, reason: str) -> np.ndarray:
        units = self._new(count)
        self.pin(units, reason)
        return units

    def pin(self, units: np.ndarray | None, reason: str) -> None:
        """Marks units as not to be removed."""
        if units is not None:
            self._pinned.append((units, reason))

    def set_pinned(self, value: Value, reason: str) -> None:
        """Gives a value units of its own that can't be removed."""
        size = value.shape[-1] if len(value.shape) > 1 else None
        self.values[value.number] = (
            None if size is None else self._new_pinned(size, reason)
        )

    def _find(self, unit: int) -> int:
        parents = self._parents
        while parents[unit] != unit:
            parents[unit] = parents[parents[unit]]
            unit = parents[unit]
        return unit

    def _join(self, first: np.ndarray, second: np.ndarray) -> None:
        pairs = np.stack([first.ravel(), second.ravel()], axis=1)
        for one, other in np.unique(pairs, axis=0):
            one, other = self._find(int(one)), self._find(int(other))
            # The earlier one stays, so that numbers follow the graph.
            self._parents[max(one, other)] = min(one, other)

    # --- calls ---------------------------------------------------------------

    def record(self, call: Call) -> None:
        """Gives the outputs of a call their units."""
        units = [self.values[value.number] for value in call.inputs]
        rule = rule_of(call)
        if any(each is None for each in units) or len(call.outputs) != 1:
            rule = Rule.OPAQUE
        result = self._apply(rule, call, units)
        if result is not None:
            self.values[call.outputs[0].number] = result
            return
        reason = _words(call)
        for each in units:
            self.pin(each, reason)
        for value in call.outputs:
            self.set_pinned(value, reason)
        if has_kernel(call.operation):
            self._add_layer(call, None, None)
        if attention.is_attention(call.operation):
            self._add_heads(call)
        # Other calls of the same layer keep what this one needs.
        self.pin(self._weighted.get(id(call.operation)), reason)

    def _apply(
        self, rule: Rule, call: Call, units: Sequence[Any]
    ) -> np.ndarray | None:
        """Returns the units of a call's output, `None` if they are pinned."""
        if rule is Rule.OPAQUE:
            return None
        if rule in KERNEL_RULES:
            return self._apply_kernel(rule, call, units[0])
        if rule is Rule.CONCATENATE:
            return np.concatenate(units)
        if rule is Rule.RESHAPE:
            return self._reshape(call, units[0])
        size = call.output_shape[-1]
        first, *others = [each for each in units if len(each) == size]
        for each in others:
            self._join(first, each)
        for each in units:
            if len(each) != size:  # One channel, which meets all the others.
                self.pin(each, _words(call))
        if has_weights(call.operation):
            # One weight a channel, the same in all calls.
            self._tie_to_other_calls(call, first)
        return first

    def _tie_to_other_calls(self, call: Call, units: np.ndarray) -> None:
        known = self._weighted.setdefault(id(call.operation), units)
        if len(known) == len(units):
            self._join(known, units)
        else:
            self.pin(known, _words(call))
            self.pin(units, _words(call))

    def _apply_kernel(
        self, rule: Rule, call: Call, units: np.ndarray
    ) -> np.ndarray:
        layer = call.operation
        known = self._layers.get(id(layer))
        if known is not None:
            self._join(known.inputs, units)
            return known.outputs
        outputs: np.ndarray
        if rule is Rule.DEPTHWISE:
            outputs = np.repeat(units, layer.depth_multiplier)
        else:
            outputs = self._new(kernel_axes(layer).num_outputs)
        if not activation_maps_entries(layer.activation):
            self.pin(outputs, f"are mixed by the activation of {_layer(call)}")
        self._add_layer(call, units, outputs)
        return outputs

    def _add_layer(
        self,
        call: Call,
        inputs: np.ndarray | None,
        outputs: np.ndarray | None,
    ) -> None:
        layer = call.operation
        known = self._layers.get(id(layer))
        if known is not None:
            self.pin(known.inputs, _words(call))
            self.pin(known.outputs, _words(call))
            return
        if inputs is None or outputs is None:
            # Treated as unknown: its channels are not those of its kernel.
            axes = kernel_axes(layer)
            inputs = self._new_pinned(axes.num_inputs, _words(call))
            outputs = self._new_pinned(axes.num_outputs, _words(call))
        self._note(LayerChannels(call.name, layer, inputs, outputs))

    def _note(self, entry: LayerChannels) -> None:
        if not self._is_prunable(entry.layer):
            kind = type(entry.layer).__name__
            words = f"'{entry.name}' ({kind})"
            reason = f"are shared with {words}, which is not masked"
            self.pin(entry.inputs, reason)
            self.pin(entry.outputs, reason)
        self._layers[id(entry.layer)] = entry

    def _add_heads(self, call: Call) -> None:
        """Takes the heads of an attention layer for units."""
        layer = call.operation
        if id(layer) not in self._heads:
            units = self._new(attention.num_units(layer))
            self._heads[id(layer)] = units
            if len(units) == 1:
                self.pin(units, attention.SINGLE)
            for each in attention.projections(layer):
                axes = kernel_axes(each.layer)
                sides = [
                    self._new_pinned(count, _words(call))
                    for count in (axes.num_inputs, axes.num_outputs)
                ]
                if each.heads is not None:
                    sides[0 if each.reads else 1] = units[each.heads]
                name = f"{call.name}/{each.layer.name}"
                self._note(LayerChannels(name, each.layer, *sides))
        if not attention.keeps_heads_apart(call):
            self.pin(self._heads[id(layer)], attention.SEEN)

    def _reshape(self, call: Call, units: np.ndarray) -> np.ndarray:
        shape: tuple = call.input_shapes[0][1:]
        entries = np.broadcast_to(units, shape)
        entries = entries.reshape(-1, call.output_shape[-1])
        first = entries[0].copy()
        # The remaining axes repeat the last, else no rectangle would remain.
        for row in np.unique(entries, axis=0):
            self._join(first, row)
        if isinstance(call.operation, keras.layers.Reshape):
            # Its target is the same in all calls.
            self._tie_to_other_calls(call, first)
        return first

    # --- result --------------------------------------------------------------

    def result(self, walked: Walk) -> ChannelFlow:
        """Returns the flow, its units numbered from 0."""
        roots = np.array(
            [self._find(unit) for unit in range(len(self._parents))], int
        )
        # Roots are the earliest of their units: sorted is in graph order.
        _, numbers = np.unique(roots, return_inverse=True)

        def final(units: np.ndarray | None) -> np.ndarray | None:
            return None if units is None else numbers[units]

        reasons: dict[int, str] = {}
        for units, reason in self._pinned:
            for unit in numbers[units].tolist():
                reasons.setdefault(unit, reason)
        return ChannelFlow(
            layers=[
                dataclasses.replace(
                    each,
                    inputs=numbers[each.inputs],
                    outputs=numbers[each.outputs],
                )
                for each in self._layers.values()
            ],
            reasons=reasons,
            values={
                number: final(units) for number, units in self.values.items()
            },
            walk=walked,
            heads={
                layer: numbers[units] for layer, units in self._heads.items()
            },
        )
