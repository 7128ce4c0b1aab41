"""How sparse a masked model is, per layer and in total."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from hydra_tf.layers.masked_layer import MaskedLayer
from hydra_tf.pruning.flops import flops_by_layer
from hydra_tf.pruning.flops import total
from hydra_tf.pruning.naming import layers_with_masks
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.granularities import units_of
from hydra_tf.text import table


@dataclasses.dataclass(frozen=True)
class LayerSparsity:
    """The figures of one masked layer.

    Attributes:
        name: Layer name, as in allocations.
        type: Class name of the plain layer.
        weights: Number of kernel entries.
        kept: Number of entries that the mask keeps. Where whole units are
            removed, those whose input and output channels both stay.
        density: `kept / weights`.
        flops: Floating-point operations of one call on one example (a
            multiplication and an addition per weight and output position);
            `None` if the input size is unknown.
        effective_flops: The same for the kept weights only.
        units: Number of channels (input channels or filters, heads or neurons,
            by granularity; those of the layer's whole group) that the density
            is about; `None` where single weights or no channels are removed.
        units_kept: How many of them stay.
    """

    name: str
    type: str
    weights: int
    kept: int
    density: float
    flops: int | None
    effective_flops: int | None
    units: int | None = None
    units_kept: int | None = None


@dataclasses.dataclass(frozen=True)
class SparsityReport:
    """The figures of a model; totals are over all masked layers.

    `str(report)` is a table for people, `to_dict()` plain data for files.

    Attributes:
        layers: Those of each masked layer.
        unit: What units are called: `"channels"`, `"heads"` or `"neurons"`.
    """

    layers: tuple[LayerSparsity, ...]
    unit: str = "channels"

    @property
    def weights(self) -> int:
        """Number of prunable weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def kept(self) -> int:
        """Number of prunable weights kept."""
        return sum(layer.kept for layer in self.layers)

    @property
    def density(self) -> float:
        """Fraction of all prunable weights kept."""
        return self.kept / self.weights

    @property
    def flops(self) -> int | None:
        """Operations of the dense network for one example."""
        return total(layer.flops for layer in self.layers)

    @property
    def effective_flops(self) -> int | None:
        """Operations that multiply kept weights."""
        return total(layer.effective_flops for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Returns the totals and, under `layers`, one entry a layer."""
        return {
            "density": self.density,
            "weights": self.weights,
            "kept": self.kept,
            "flops": self.flops,
            "effective_flops": self.effective_flops,
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }

    def __str__(self) -> str:
        header: tuple[str, ...]
        header = ("layer", "type", "weights", "kept", "density")
        header += ("MFLOPs", "effective", self.unit)
        rows = [_row(layer.name, layer.type, layer) for layer in self.layers]
        rows.append(_row("total", "", self))
        if all(layer.units is None for layer in self.layers):
            header, *rows = (row[:-1] for row in (header, *rows))
        return table(header, rows)


def sparsity_report(model: keras.Model) -> SparsityReport:
    """Counts the weights that a model's masks keep.

    Args:
        model: Model with masked layers.

    Raises:
        InputError: If the model has no masked layer.

    Example:

    >>> import hydra_tf
    >>> model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(5)])
    >>> report = hydra_tf.sparsity_report(
    ...     hydra_tf.to_masked(model, density=0.3))
    >>> report.kept, report.weights
    (15, 50)
    """
    layers = layers_with_masks(model)
    flops = flops_by_layer(model)
    return SparsityReport(
        tuple(
            _layer_sparsity(name, layer, flops[name])
            for name, layer in layers.items()
        ),
        unit=units_of(next(iter(layers.values())).granularity),
    )


def _layer_sparsity(
    name: str, layer: MaskedLayer, flops: int | None
) -> LayerSparsity:
    mask = keras.ops.convert_to_numpy(layer.mask)
    kept = int(np.count_nonzero(mask))
    units = units_kept = None
    if layer.granularity in STRUCTURED and layer.prunable:
        units = layer.num_units
        # Of the whole group: the layer itself may have part of its channels.
        units_kept = (
            units
            if layer.phase == "pretrain"
            else int(np.count_nonzero(layer.scoring.mask()))
        )
    return LayerSparsity(
        name=name,
        type=layer.plain_class.__name__,
        weights=mask.size,
        kept=kept,
        density=kept / mask.size,
        flops=flops,
        effective_flops=None if flops is None else flops // mask.size * kept,
        units=units,
        units_kept=units_kept,
    )


def _row(name: str, kind: str, figures: Any) -> tuple[str, ...]:
    return (
        name,
        kind,
        f"{figures.weights:,}",
        f"{figures.kept:,}",
        f"{figures.density:.4f}",
        *(
            "-" if value is None else f"{value / 1e6:,.2f}"
            for value in (figures.flops, figures.effective_flops)
        ),
        _channels(figures),
    )


def _channels(figures: Any) -> str:
    if getattr(figures, "units", None) is None:
        return ""
    return f"{figures.units_kept}/{figures.units}"
