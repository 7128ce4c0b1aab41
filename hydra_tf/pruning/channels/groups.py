"""Groups of layers whose channels have to be removed together.

Found from the graph when a network is masked (`assign_channels`), noted in
the layers, and tied by shared variables (`connect_channels`), so that the masks
of a group agree by construction.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers import Channels
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.channels import ALWAYS_KEPT
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.masked_weight import scaled_scores
from hydra_tf.layers.scores import Scoring
from hydra_tf.pruning.channels.flow import ChannelFlow
from hydra_tf.pruning.channels.flow import LayerChannels
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.naming import paths_of_masked_layers
from hydra_tf.registry.granularities import CHANNEL
from hydra_tf.registry.granularities import HEAD
from hydra_tf.registry.granularities import NEURON

_DENSE = (keras.layers.Dense, keras.layers.EinsumDense)


@dataclasses.dataclass(frozen=True)
class ChannelGroup:
    """Layers that share their scores and density; often just one.

    Attributes:
        layers: The layers by name, in graph order. With the granularities
            `"weight"` and `"N:M"` each is a group of its own.
    """

    layers: Mapping[str, MaskedLayer]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers, as in allocations."""
        return tuple(self.layers)

    @property
    def leader(self) -> MaskedLayer:
        """The first layer."""
        return next(iter(self.layers.values()))

    @property
    def num_units(self) -> int:
        """Number of scores that compete: weights or channels."""
        return self.leader.num_units

    @property
    def weights(self) -> int:
        """Number of weights in the layers' kernels."""
        return sum(
            int(np.prod(layer.kernel.shape)) for layer in self.layers.values()
        )

    @functools.cached_property
    def unit_norms(self) -> np.ndarray:
        """Sum of the absolute weights of each unit, over all layers.

        Float64, of the scores' shape.
        """
        norms = (layer.unit_norms() for layer in self.layers.values())
        return functools.reduce(np.add, norms)


def channel_groups(model: keras.Model) -> list[ChannelGroup]:
    """Returns the prunable layers of a model in groups, in graph order.

    Args:
        model: Model with masked layers.
    """
    groups: dict[Any, dict[str, MaskedLayer]] = {}
    around = _models_around(model)
    for name, layer in masked_layers(model).items():
        if not layer.prunable:
            continue
        group = _group(layer.masked_kernel.own, around[id(layer)])
        groups.setdefault(group or name, {})[name] = layer
    return [ChannelGroup(layers) for layers in groups.values()]


def connect_channels(model: keras.Model) -> None:
    """Lets the layers of a group share their variables.

    A model that was loaded has them once for each layer, with equal values. In
    one that was just made, or cloned without its weights, each layer has those
    of its own kernel; the group then gets those of all its kernels.
    `to_masked`, `set_phase` and `RobustModel` do this.

    Args:
        model: Model, with masked layers or without.

    Raises:
        InputError: If the scores of a group have come to differ.
    """
    layers = masked_layers(model).values()
    around = _models_around(model)
    owners: dict[Any, list[MaskedLayer]] = {}
    for layer in layers:
        group = _group(layer.masked_kernel.own, around[id(layer)])
        if group is not None and layer.prunable:
            owners.setdefault(group, []).append(layer)
    for members in owners.values():
        _share_scores(members)
    for layer in layers:
        group = _group(layer.masked_kernel.other, around[id(layer)])
        scoring = layer.masked_kernel.other_scoring
        if group in owners and scoring is not None:
            leader = owners[group][0]
            if scoring is not leader.scoring:
                if not layer.masked_kernel.awaits_other_scores:
                    _check_equal(layer, scoring, leader, leader.scoring)
                layer.share_scores(leader.scoring, other=True)
    for layer in layers:
        layer.connect()


def _share_scores(members: list[MaskedLayer]) -> None:
    leader = members[0]
    apart = [each for each in members if each.scoring is not leader.scoring]
    if not apart:
        return
    fresh = all(each.masked_kernel.has_initial_scores for each in members)
    for each in apart:
        _check_equal(
            each, each.scoring, leader, leader.scoring, any_scores=fresh
        )
    if fresh:
        norms = functools.reduce(
            np.add, (each.unit_norms() for each in members)
        )
        norms = tf.constant(norms, tf.float32)
        leader.scores.assign(scaled_scores(norms, 1))
    for each in apart:
        each.share_scores(leader.scoring)


def assign_channels(
    model: keras.Model,
    granularity: str,
    is_prunable: Callable[[Any], bool],
) -> dict[int, tuple[Channels, Channels]]:
    """Finds out which channels of a network may be removed together.

    Args:
        model: Plain or masked Functional or Sequential model.
        granularity: `"channel"`, `"filter"`, `"head"` or `"neuron"`: which
            may go, and whose scores decide.
        is_prunable: Predicate of the layers that are going to be masked.

    Returns:
        The channels at the input and at the output of the layers that are
        masked, by the `id` of the layer.
    """
    flow = channel_flow(model, is_prunable)
    units = _Units(model.name, flow, granularity, is_prunable)
    return {
        id(entry.layer): (
            units.channels(entry.inputs, entry.name.count("/")),
            units.channels(entry.outputs, entry.name.count("/")),
        )
        for entry in flow.layers
        if is_prunable(entry.layer)
    }


def pinned_channels(axes: KernelAxes) -> tuple[Channels, Channels]:
    """Returns channels at the input and the output that always stay.

    For layers whose calls the graph does not show, such as those inside of a
    `TimeDistributed`.
    """
    return (
        Channels(0, (ALWAYS_KEPT,) * axes.num_inputs),
        Channels(0, (ALWAYS_KEPT,) * axes.num_outputs),
    )


class _Units:
    """Numbers the units of each group from 0."""

    def __init__(
        self,
        name: str,
        flow: ChannelFlow,
        granularity: str,
        is_prunable: Callable[[Any], bool],
    ) -> None:
        # Of the model, so that several may become parts of one.
        self._name = name
        layers = [each for each in flow.layers if is_prunable(each.layer)]
        heads = set(itertools.chain.from_iterable(flow.heads.values()))
        owned = self._owned(layers, granularity, heads) - flow.pinned
        self._group: dict[int, int] = {}
        self._members: list[list[int]] = []
        self._names: list[str] = []
        for entry in layers:
            for units in (entry.inputs, entry.outputs):
                self._join(
                    entry.name, [u for u in _unique(units) if u in owned]
                )
        self._number = {
            unit: number
            for members in self._members
            for number, unit in enumerate(members)
        }

    @staticmethod
    def _owned(
        layers: list[LayerChannels], granularity: str, heads: set[int]
    ) -> set[int]:
        """The units that are read somewhere, and that scores stand for."""
        read: set[int] = set()
        made: set[int] = set()
        convolved: set[int] = set()
        for entry in layers:
            if not isinstance(entry.layer, _DENSE):
                convolved.update(entry.inputs.tolist(), entry.outputs.tolist())
            if isinstance(entry.layer, keras.layers.DepthwiseConv2D):
                continue
            read.update(entry.inputs.tolist())
            made.update(entry.outputs.tolist())
        if granularity == HEAD:
            return heads
        if granularity == CHANNEL:
            return read - heads
        hidden = (read & made) - heads
        return hidden - convolved if granularity == NEURON else hidden

    def _join(self, name: str, units: list[int]) -> None:
        """Makes the units of one side members of one group."""
        if not units:
            return
        known = sorted({self._group[u] for u in units if u in self._group})
        if not known:
            known = [len(self._members)]
            self._members.append([])
            self._names.append(name)
        first = known[0]
        for other in known[1:]:
            self._members[first] += self._members[other]
            self._members[other] = []
        self._members[first] += [u for u in units if u not in self._group]
        for unit in self._members[first]:
            self._group[unit] = first

    def channels(self, units: np.ndarray, depth: int) -> Channels:
        """Returns the channels of one side of a layer.

        Args:
            units: Their units.
            depth: Number of nested models around the layer.
        """
        numbers = [self._number.get(int(u), ALWAYS_KEPT) for u in units]
        groups = {self._group[int(u)] for u in units if int(u) in self._group}
        if not groups:
            return Channels(0, tuple(numbers))
        (group,) = groups
        size = len(self._members[group])
        name = f"channels of {self._name}/{self._names[group]}"
        if numbers == list(range(size)):
            return Channels(size, None, name, depth)
        return Channels(size, tuple(numbers), name, depth)


def _unique(units: np.ndarray) -> list[int]:
    """The different units in the order of their channels."""
    return list(dict.fromkeys(units.tolist()))


def _models_around(model: keras.Model) -> dict[int, tuple[str, ...]]:
    """Returns the names of the nested models around each masked layer."""
    return {
        id(layer): tuple(path.split("/")[:-1])
        for path, layer in paths_of_masked_layers(model)
    }


def _group(
    channels: Channels | None, around: tuple[str, ...]
) -> tuple[tuple[str, ...], str] | None:
    """Returns what the layers of one group, and no others, have in common.

    Args:
        channels: Those of one side of a layer.
        around: Names of the nested models that the layer is in.
    """
    if channels is None or channels.group is None:
        return None
    # Models around the one that was masked tell its copies apart.
    return around[: max(len(around) - channels.depth, 0)], channels.group


def _check_equal(
    layer: MaskedLayer,
    scoring: Scoring,
    leader: MaskedLayer,
    theirs: Scoring,
    *,
    any_scores: bool = False,
) -> None:
    pairs = [(scoring.density, theirs.density), (scoring.count, theirs.count)]
    if not any_scores:
        pairs.append((scoring.values, theirs.values))
    if scoring.rate is not None and theirs.rate is not None:
        pairs.append((scoring.rate, theirs.rate))
    # Both have a rate or none if this is the same.
    same = scoring.min_density == theirs.min_density and all(
        np.array_equal(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other)
        )
        for one, other in pairs
    )
    if not same:
        raise InputError(
            f"the layers '{leader.name}' and '{layer.name}' share their "
            "channels, but have different scores or densities: give both the "
            "same"
        )
