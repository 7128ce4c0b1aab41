"""What an allocation gives a density to: the weights of one layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.layers import MaskedLayer
from hydra_tf.masks import topk_mask
from hydra_tf.pruning.naming import prunable_layers


@dataclasses.dataclass(frozen=True)
class Pool:
    """Entries that compete for one density.

    Attributes:
        names: Names of the layers that share the density.
        layers: The layers.
        size: Number of entries.
        alive: `None`, or which entries may be kept at all: bool vector.
    """

    names: tuple[str, ...]
    layers: tuple[MaskedLayer, ...]
    size: int
    alive: np.ndarray | None = None

    @property
    def limit(self) -> int:
        """How many entries may be kept at most."""
        return self.size if self.alive is None else int(self.alive.sum())

    def magnitudes(self) -> np.ndarray:
        """Magnitudes of the entries that may be kept, as a vector."""
        return self._values(self.layers[0].kernel)

    def score_magnitudes(self) -> np.ndarray:
        """The same of their scores."""
        return self._values(self.layers[0].scores)

    def _values(self, variable: Any) -> np.ndarray:
        values = np.abs(np.ravel(keras.ops.convert_to_numpy(variable)))
        if not np.all(np.isfinite(values)):
            raise InputError(
                f"layer '{self.names[0]}' holds infinite or NaN "
                f"{variable.name}: no allocation can be made of them"
            )
        return values if self.alive is None else values[self.alive]


def pools_of(model: keras.Model, *, nested: bool = False) -> list[Pool]:
    """Returns the pools of a model, in graph order.

    Args:
        model: Model with masked layers.
        nested: Whether only what the masks keep now may be kept.
    """
    return [
        Pool(
            names=(name,),
            layers=(layer,),
            size=int(np.prod(layer.scores.shape)),
            alive=_alive(layer) if nested else None,
        )
        for name, layer in prunable_layers(model).items()
    ]


def _alive(layer: MaskedLayer) -> np.ndarray:
    mask = topk_mask(layer.scores.value, float(layer.density))
    return np.ravel(mask) > 0


def allocation_of(
    pools: Sequence[Pool], counts: Sequence[int]
) -> dict[str, float]:
    """Returns the densities by layer name that keep so many entries."""
    return {
        name: count / pool.size
        for pool, count in zip(pools, counts, strict=True)
        for name in pool.names
    }
