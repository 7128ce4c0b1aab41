"""What an allocation gives densities to: weights, or channels of a group."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.ops.counts import check_density
from hydra_tf.ops.counts import keeps_one
from hydra_tf.pruning.channels.costs import UnitCosts
from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.counts import budget_at
from hydra_tf.pruning.counts import largest_first
from hydra_tf.pruning.counts import largest_weights_first
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import units_of


@dataclasses.dataclass(frozen=True)
class Pool:
    """Entries that compete for one density: weights or channels.

    Attributes:
        group: The layers that share the density.
        alive: `None`, or which entries may be kept at all: bool vector.
    """

    group: ChannelGroup
    alive: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.group.num_units

    @property
    def structured(self) -> bool:
        """Whether the entries are channels."""
        return self.group.leader.granularity in STRUCTURED

    @property
    def limit(self) -> int:
        """How many entries may be kept at most."""
        return self.size if self.alive is None else int(self.alive.sum())

    def magnitudes(self) -> np.ndarray:
        """Magnitudes of the entries that may be kept, as a vector.

        That of a channel is the sum of the magnitudes of its weights.
        """
        if self.structured:
            return self._checked(self.group.unit_norms, "weights")
        return self._checked(self.group.leader.kernel, "weights")

    def score_magnitudes(self) -> np.ndarray:
        """The same of their scores."""
        return self._checked(self.group.leader.scores, "scores")

    def _checked(self, values: Any, what: str) -> np.ndarray:
        values = np.abs(np.ravel(keras.ops.convert_to_numpy(values)))
        if not np.all(np.isfinite(values)):
            raise InputError(
                f"layer '{self.group.names[0]}' holds infinite or NaN {what}: "
                "no allocation can be made of them"
            )
        return values if self.alive is None else values[self.alive]


class Pools(Sequence[Pool]):
    """The pools of a model, in graph order, and what they may keep together.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all weights, or of channels.
        nested: Whether only what the masks keep now may be kept.

    Attributes:
        costs: What counts of the pools cost.
        budget: What they may cost.
        structured: Whether the pools are of channels.

    Raises:
        InputError: If allocations do not apply to the model's granularity, or
            the density removes all channels of a layer.
    """

    def __init__(
        self, model: keras.Model, density: float, *, nested: bool = False
    ) -> None:
        check_leaves_channels(model, density)
        self._layers = prunable_layers(model)
        for name, layer in self._layers.items():
            if is_n_of_m(layer.granularity):
                raise InputError(
                    f"layer '{name}' keeps {layer.granularity} weights: only "
                    "the uniform allocation applies, with that density"
                )
        self.costs = UnitCosts(model)
        self.budget = budget_at(self.costs, density)
        self._pools = [
            Pool(group, _alive(group) if nested else None)
            for group in self.costs.groups
        ]
        self.structured = self._pools[0].structured
        for pool in self._pools:
            if pool.structured != self.structured:
                first = self._pools[0].group
                raise InputError(
                    "allocations compare weights or channels, not both: layer "
                    f"'{first.names[0]}' has granularity "
                    f"'{first.leader.granularity}', '{pool.group.names[0]}' "
                    f"has '{pool.group.leader.granularity}'"
                )

    def __getitem__(self, index: Any) -> Any:
        return self._pools[index]

    def __len__(self) -> int:
        return len(self._pools)

    def largest_first(
        self, values: Callable[[Pool], np.ndarray]
    ) -> dict[str, float]:
        """Returns the densities that keep the largest values of all pools.

        Args:
            values: Returns the values of a pool's entries, comparable between
                pools.
        """
        vectors = [values(pool) for pool in self._pools]
        if self.structured:
            counts = largest_first(vectors, self.costs.of, self.budget)
        else:
            counts = largest_weights_first(vectors, self.budget)
        return self.densities(counts)

    def densities(self, counts: Sequence[int]) -> dict[str, float]:
        """Returns the densities by layer name that keep so many entries."""
        densities = {
            name: count / pool.size
            for pool, count in zip(self._pools, counts, strict=True)
            for name in pool.group.names
        }
        return {name: densities[name] for name in self._layers}


def _alive(group: ChannelGroup) -> np.ndarray:
    return np.ravel(group.leader.scoring.mask()) > 0


def check_leaves_channels(model: keras.Model, density: float) -> None:
    """Raises `InputError` if a density removes all channels of a layer.

    Args:
        model: Model with masked layers, of any granularity.
        density: Float in (0, 1].
    """
    check_density(density)
    check_each_leaves_channels(
        model, dict.fromkeys(prunable_layers(model), density), "density"
    )


def check_each_leaves_channels(
    model: keras.Model, densities: Mapping[str, Any], argument: str
) -> None:
    """Likewise for one density a layer."""
    pools = [Pool(group) for group in channel_groups(model)]
    sizes = [pool.size for pool in pools if pool.structured]
    for pool in pools:
        name = pool.group.names[0]
        density = float(densities[name])
        if pool.structured and not keeps_one(density, pool.size):
            # Rounded up, so that the number can be used as it stands.
            units = units_of(pool.group.leader.granularity)
            least = math.ceil(1e6 / min(sizes)) / 1e6
            raise InputError(
                f"`{argument}` would remove a whole layer: {density:g} of "
                f"{pool.size} {units} of layer '{name}' is less than one. "
                f"The least density that all layers of this model allow is "
                f"{least:g}"
            )
