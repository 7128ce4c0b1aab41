"""The channels on one side of a layer, and the units that they belong to.

A unit is a set of channels, of any layers, that only make sense together: the
two that an addition joins, or a channel and its positions behind a Flatten. A
group is the units that share one vector of scores. Structured masks keep or
remove units.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError

# The unit of a channel that always stays, such as those of the image.
ALWAYS_KEPT = -1


@dataclasses.dataclass(frozen=True)
class Channels:
    """The channels along one axis of a kernel.

    Attributes:
        num_units: Number of units in the group.
        units: The unit of every channel, from 0 to `num_units - 1`, or -1 for
            one that always stays. `None`: each channel is the unit of its
            number.
        group: Name of the group, by which its layers know each other; `None`
            for a layer on its own.
        depth: Number of nested models that the layer was in when the group was
            found. What is around them may have another group of that name.
    """

    num_units: int
    units: tuple[int, ...] | None = None
    group: str | None = None
    depth: int = 0

    @classmethod
    def from_config(cls, config: Any) -> Channels | None:
        """Returns the channels from what `to_config` returned."""
        if config is None or isinstance(config, Channels):
            return config
        if not isinstance(config, Mapping):
            raise InputError(
                "channels must be a hydra_tf.layers.Channels. "
                f"Received: {config!r}"
            )
        units = config["units"]
        return cls(
            config["num_units"],
            None if units is None else tuple(int(unit) for unit in units),
            config["group"],
            config["depth"],
        )

    def to_config(self) -> dict[str, Any]:
        """Returns plain data."""
        return {
            "num_units": self.num_units,
            "units": None if self.units is None else list(self.units),
            "group": self.group,
            "depth": self.depth,
        }

    @property
    def size(self) -> int:
        """Number of channels."""
        return self.num_units if self.units is None else len(self.units)

    @property
    def prunable(self) -> bool:
        """Whether any of the channels can be removed."""
        return self.num_removable > 0

    @property
    def num_removable(self) -> int:
        """Number of channels that can be removed."""
        if self.units is None:
            return self.num_units
        return int(np.count_nonzero(np.asarray(self.units) != ALWAYS_KEPT))

    def spread(self, unit_mask: tf.Tensor) -> tf.Tensor:
        """Returns the mask of the channels, given that of the units."""
        if self.units is None:
            return unit_mask
        units = np.asarray(self.units)
        if not self.prunable:
            return tf.ones(len(units), unit_mask.dtype)
        kept = tf.gather(unit_mask, np.maximum(units, 0))
        if self.num_removable == len(units):
            return kept
        return tf.where(units == ALWAYS_KEPT, tf.ones_like(kept), kept)

    def gather(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the sum over each unit's channels, given one a channel."""
        if self.units is None:
            return values
        # Negative ones, of channels that always stay, are left out.
        return tf.math.unsorted_segment_sum(
            values, tf.constant(self.units, tf.int32), self.num_units
        )

    def fraction(self, density: Any) -> Any:
        """Returns the fraction of the channels kept, given that of units."""
        share = self.num_removable / self.size
        return (1.0 - share) + share * density
