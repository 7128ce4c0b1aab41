"""What a model's kept weights cost, as a function of whole counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.channels import Channels
from hydra_tf.layers.scores import Scoring
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.flops import kernel_costs
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m


@dataclasses.dataclass(frozen=True)
class _Factor:
    """The fraction of a kernel that the count of one group decides.

    Attributes:
        group: Its index.
        channels: The parts that the kernel has.
        kept: How many of them stay, by the number of units that stay; `None`
            where each unit is a channel.
    """

    group: int
    channels: Channels
    kept: np.ndarray | None

    @property
    def size(self) -> int:
        return self.channels.size

    def parts(self, count: int) -> int:
        return count if self.kept is None else int(self.kept[count])

    def fraction(self, density: float) -> float:
        return float(self.channels.fraction(density))


class UnitCosts:
    """The cost of what masks keep, exactly as a sparsity report counts it.

    A channel counts with all weights that read or compute it. Where channels
    are joined, one unit may be more channels than another: which units stay
    at a count follows from the scores as they are now.

    Args:
        model: Model with masked layers, built.
        resource: `"weights"` or `"flops"`.

    Attributes:
        groups: The groups of layers that share a density, in graph order.
        total: Integer, cost of all units.
        counts_weights: Whether every unit is a single weight and costs 1.
    """

    def __init__(self, model: keras.Model, resource: str = "weights") -> None:
        connect_channels(model)
        self.groups = channel_groups(model)
        index = {
            id(group.leader.scoring): number
            for number, group in enumerate(self.groups)
        }
        layers = masked_layers(model)
        # Of a part of a network: the layers that chose are not in it. What
        # they have chosen stays.
        self._others = [
            scoring
            for layer in layers.values()
            for _, scoring in layer.masked_kernel.chosen_sides
            if id(scoring) not in index
        ]
        for number, scoring in enumerate(self._others, len(self.groups)):
            index[id(scoring)] = number
        costs = kernel_costs(model, resource)
        self._layers = [
            (
                _chosen_cost(costs[name], layer),
                [
                    _factor(index[id(scoring)], channels, scoring)
                    for channels, scoring in layer.masked_kernel.chosen_sides
                ],
            )
            for name, layer in layers.items()
        ]
        self.total = self.of([group.num_units for group in self.groups])
        self.counts_weights = resource == "weights" and all(
            group.leader.granularity == WEIGHT for group in self.groups
        )

    def of(self, counts: Sequence[int]) -> int:
        """Returns the cost of keeping so many units of every group."""
        everything = [*counts, *(each.num_kept for each in self._others)]
        return sum(
            cost
            * math.prod(f.parts(everything[f.group]) for f in factors)
            // math.prod(f.size for f in factors)
            for cost, factors in self._layers
        )

    def at(self, density: float) -> float:
        """Returns the cost at one density of all groups, counts not rounded."""
        densities = [density] * len(self.groups)
        densities += [each.current_density for each in self._others]
        return sum(
            cost * math.prod(f.fraction(densities[f.group]) for f in factors)
            for cost, factors in self._layers
        )


def _chosen_cost(cost: int, layer: MaskedLayer) -> int:
    """The cost of a layer whose density is not a matter of N of M."""
    if is_n_of_m(layer.granularity):
        n, m = n_of_m(layer.granularity)
        return cost * n // m
    return cost


def _factor(group: int, channels: Channels, scoring: Scoring) -> _Factor:
    kept = None
    if channels.units is not None:
        magnitudes = np.abs(keras.ops.convert_to_numpy(scoring.values))
        # As in a mask: ties go to the lower index.
        order = np.argsort(-magnitudes, kind="stable")
        per_unit = channels.gather(tf.ones(channels.size, tf.int64)).numpy()
        always = channels.size - channels.num_removable
        kept = always + np.concatenate([[0], np.cumsum(per_unit[order])])
    return _Factor(group, channels, kept)
