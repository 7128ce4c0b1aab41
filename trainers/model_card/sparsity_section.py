"""The section of a model card that says what is left of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra_tf import text
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import units_of


def write(sparsity: Mapping[str, Any], *, shrunk: bool = False) -> str:
    """Returns the section as Markdown, empty if nothing is known.

    Args:
        sparsity: What `metrics.json` holds about it.
        shrunk: Whether removed channels are cut out of what was exported.
    """
    if not sparsity:
        return ""
    columns = [
        ("weights", text.number),
        ("kept", text.number),
        ("density", text.percent),
        ("flops", text.number),
        ("effective_flops", text.number),
    ]
    layers = sparsity.get("layers") or []
    rows = [
        [
            f"`{layer.get('name', text.UNKNOWN)}`",
            layer.get("type") or text.UNKNOWN,
            *(show(layer.get(key)) for key, show in columns),
        ]
        for layer in layers
    ]
    rows.append(
        ["**all**", "", *(show(sparsity.get(key)) for key, show in columns)]
    )
    header = ["layer", "type", "weights", "kept", "density", "FLOPs"]
    header.append("FLOPs without zeros")
    prose = "Weights that can be pruned, so neither biases nor normalisation. "
    if shrunk:
        prose += "The figures are those of the network as it was pruned."
    else:
        prose += "Removed weights are exactly 0.0 in the SavedModel."
    granularity = str(sparsity.get("granularity", WEIGHT))
    units = units_of(granularity)
    if any(layer.get("units") for layer in layers):
        prose += (
            f" Whole {units} were removed, in what reads them and in what "
            "computes them."
        )
        header.append(f"{units} kept")
        for row, layer in zip(rows, [*layers, {}], strict=True):
            row.append(_units(layer))
    if sparsity.get("learned"):
        prose += f" {_learned(sparsity['learned'], granularity)}"
    return "\n\n".join(
        ["## Sparsity", prose, text.markdown_table(header, rows)]
    )


def _learned(learned: Mapping[str, Any], granularity: str) -> str:
    """Says how the densities of the layers came to their target."""
    prose = (
        "How much each layer keeps was learned, with a target of "
        f"{text.percent(learned.get('target'))}"
    )
    if granularity != WEIGHT:
        # Less than that of the weights, of which a layer loses both sides.
        resource = {"flops": "FLOPs"}.get(
            str(learned.get("resource")), "weights"
        )
        prose += (
            f" of the {units_of(granularity)}, or as many {resource} as "
            "that in every layer leaves"
        )
    if learned.get("gamma_frozen_at_epoch") is not None:
        prose += f", first met in epoch {learned['gamma_frozen_at_epoch']}"
    if learned.get("best_epoch") is not None:
        prose += f"; the densities are those of epoch {learned['best_epoch']}"
    return f"{prose}."


def _units(layer: Mapping[str, Any]) -> str:
    """Returns how many of a layer's channels, heads or neurons stay."""
    if not layer.get("units"):
        return ""
    return (
        f"{text.number(layer.get('units_kept'))} of "
        f"{text.number(layer['units'])}"
    )
