"""The section of a model card that says what is left of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra_tf.export import markdown


def write(sparsity: Mapping[str, Any], *, shrunk: bool = False) -> str:
    """Returns the section as Markdown, empty if nothing is known.

    Args:
        sparsity: What `metrics.json` holds about it.
        shrunk: Whether removed channels are cut out of what was exported.
    """
    if not sparsity:
        return ""
    columns = [
        ("weights", markdown.number),
        ("kept", markdown.number),
        ("density", markdown.percent),
        ("flops", markdown.number),
        ("effective_flops", markdown.number),
    ]
    layers = sparsity.get("layers") or []
    rows = [
        [
            f"`{layer.get('name', markdown.UNKNOWN)}`",
            layer.get("type") or markdown.UNKNOWN,
            *(show(layer.get(key)) for key, show in columns),
        ]
        for layer in layers
    ]
    rows.append(
        ["**all**", "", *(show(sparsity.get(key)) for key, show in columns)]
    )
    header = ["layer", "type", "weights", "kept", "density", "FLOPs"]
    header.append("FLOPs without zeros")
    text = "Weights that can be pruned, so neither biases nor normalisation. "
    if shrunk:
        text += "The figures are those of the network as it was pruned."
    else:
        text += "Removed weights are exactly 0.0 in the SavedModel."
    if any(layer.get("units") for layer in layers):
        text += (
            " Whole channels were removed, in what reads them and in what "
            "computes them."
        )
        header.append("channels kept")
        for row, layer in zip(rows, [*layers, {}], strict=True):
            row.append(_units(layer))
    if sparsity.get("learned"):
        granularity = sparsity.get("granularity", "weight")
        text += f" {_learned(sparsity['learned'], granularity)}"
    return "\n\n".join(["## Sparsity", text, markdown.table(header, rows)])


def _learned(learned: Mapping[str, Any], granularity: str) -> str:
    """Says how the densities of the layers came to their target."""
    text = (
        "How much each layer keeps was learned, with a target of "
        f"{markdown.percent(learned.get('target'))}"
    )
    if granularity != "weight":
        # Less than that of the weights, of which a layer loses both sides.
        resource = {"flops": "FLOPs"}.get(
            str(learned.get("resource")), "weights"
        )
        text += (
            " of the channels, or as many "
            f"{resource} as that in every layer leaves"
        )
    if learned.get("gamma_frozen_at_epoch") is not None:
        text += f", first met in epoch {learned['gamma_frozen_at_epoch']}"
    if learned.get("best_epoch") is not None:
        text += f"; the densities are those of epoch {learned['best_epoch']}"
    return f"{text}."


def _units(layer: Mapping[str, Any]) -> str:
    """Returns how many of a layer's channels stay."""
    if not layer.get("units"):
        return ""
    return (
        f"{markdown.number(layer.get('units_kept'))} of "
        f"{markdown.number(layer['units'])}"
    )
