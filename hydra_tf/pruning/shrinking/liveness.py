"""Which channels of a network have a part in its outputs."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from hydra_tf.graph import Call
from hydra_tf.pruning.channels import attention
from hydra_tf.pruning.channels.flow import ChannelFlow
from hydra_tf.pruning.channels.flow import LayerChannels
from hydra_tf.pruning.channels.rules import Rule
from hydra_tf.pruning.channels.rules import kernel_axes
from hydra_tf.pruning.channels.rules import rule_of
from hydra_tf.pruning.shrinking.constants import applied
from hydra_tf.pruning.shrinking.constants import find_constants
from hydra_tf.pruning.shrinking.constants import never_pads


@dataclasses.dataclass(frozen=True)
class Liveness:
    """What of a network has to stay.

    Attributes:
        live: Bool array, the units that the outputs depend on.
        kept: Bool array, those and one unit of every value that has no live
            one.
        folded: For layers with kernels, by identity: what the channels that
            are not live add to the layer's bias.
    """

    live: np.ndarray
    kept: np.ndarray
    folded: dict[int, np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Reader:
    """A layer that ends channels.

    Attributes:
        channels: Its units.
        reads: Bool array `(inputs, outputs)`, which entries of the kernel are
            not zero, as far as they can't be folded into the bias.
        numbers: Float array, the number in each input channel that is
            constant and can be folded; 0 for the others.
    """

    channels: LayerChannels
    reads: np.ndarray
    numbers: np.ndarray


def find_live(flow: ChannelFlow, multiple_of: int = 1) -> Liveness:
    """Finds the units that the outputs of a plain network depend on.

    A unit lives if it is pinned, or if a layer makes something of it in the
    channels of a living unit. Constants don't count where they can become a
    part of that layer's bias.

    Args:
        flow: Channels of a network without masks.
        multiple_of: Integer >= 1, what the number of channels that stay in a
            value is rounded up to a multiple of, or to all there are.
    """
    calls: dict[int, list[Call]] = {}
    for call in flow.walk.calls:
        if rule_of(call) in (Rule.DENSE, Rule.CONV, Rule.TRANSPOSE):
            calls.setdefault(id(call.operation), []).append(call)
        elif id(call.operation) in flow.heads:
            for each in attention.projections(call.operation):
                calls[id(each.layer)] = []
    constants = find_constants(flow.walk)
    readers = [
        _reader(each, calls[id(each.layer)], constants)
        for each in flow.layers
        if id(each.layer) in calls
    ]
    live: np.ndarray = np.zeros(_num_units(flow), bool)
    live[list(flow.pinned)] = True
    count = -1
    while count != np.count_nonzero(live):
        count = int(np.count_nonzero(live))
        for reader in reversed(readers):
            outputs = live[reader.channels.outputs]
            inputs = reader.reads[:, outputs].any(axis=1)
            live[reader.channels.inputs[inputs]] = True
    folded = {
        id(reader.channels.layer): applied(
            _kernel(reader.channels.layer),
            np.where(live[reader.channels.inputs], 0.0, reader.numbers),
        )
        for reader in readers
    }
    kept = live.copy()
    for units in (*flow.values.values(), *flow.heads.values()):
        # A tensor without entries is none: one channel stays, read by nobody.
        if units is not None and not kept[units].any():
            kept[units[0]] = True
    _round_up(kept, flow, multiple_of)
    return Liveness(live, kept, folded)


def _round_up(kept: np.ndarray, flow: ChannelFlow, multiple_of: int) -> None:
    """Keeps more units, until their number in each value is a multiple."""
    count = -1
    while count != np.count_nonzero(kept):
        count = int(np.count_nonzero(kept))
        for units in flow.values.values():
            if units is None:
                continue
            # Behind a flattening a unit is there several times.
            units = np.unique(units)
            missing = -int(np.count_nonzero(kept[units])) % multiple_of
            # A value shares units with others, which may need more then.
            kept[units[~kept[units]][:missing]] = True


def _reader(
    channels: LayerChannels, calls: list[Call], constants: dict[int, Any]
) -> _Reader:
    kernel = _kernel(channels.layer)
    reads = (kernel != 0).any(axis=tuple(range(kernel.ndim - 2)))
    if not calls:
        # The heads of attention, of which no constants are known.
        return _Reader(channels, reads, np.zeros(len(reads)))
    given = [constants[call.inputs[0].number] for call in calls]
    foldable = np.all([each.known for each in given], axis=0) & np.all(
        [each.numbers == given[0].numbers for each in given], axis=0
    )
    numbers = given[0].numbers
    if not all(map(never_pads, calls)):
        foldable &= numbers == 0
    numbers = np.where(foldable, numbers, 0.0)
    return _Reader(channels, reads & ~foldable[:, np.newaxis], numbers)


def _kernel(layer: Any) -> np.ndarray:
    """Returns a kernel with its last axes the inputs and the outputs."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    return kernel_axes(layer).unfolded(kernel)


def _num_units(flow: ChannelFlow) -> int:
    arrays = [
        *(units for units in flow.values.values() if units is not None),
        *(each.inputs for each in flow.layers),
        *(each.outputs for each in flow.layers),
        *flow.heads.values(),
    ]
    return 1 + max((int(units.max()) for units in arrays), default=-1)
