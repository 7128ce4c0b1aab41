"""The plot of what each layer of a pruned network keeps."""

from __future__ import annotations

import math
import pathlib
from typing import Any

from hydra_tf.registry.granularities import units_of
from trainers.plots import figure as figures

_PER_LAYER = 0.22  # inches


def write(
    path: pathlib.Path,
    sparsity: dict[str, Any],
    target: float | None,
    title: str,
) -> None:
    """Writes the plot that `draw` returns as a PNG file.

    Args:
        path: The file, replaced if it is there.
        sparsity: As for `draw`.
        target: As for `draw`.
        title: As for `draw`.
    """
    figures.write(path, draw(sparsity, target, title))


def draw(sparsity: dict[str, Any], target: float | None, title: str) -> Any:
    """Returns a figure with a bar for each layer, in the order of the graph.

    Args:
        sparsity: What `metrics.json` holds about it.
        target: The density that was asked for, of weights or of channels, or
            `None` if that is not known.
        title: What the plot is of.
    """
    layers = sparsity["layers"]
    densities = [100 * layer["density"] for layer in layers]
    total = 100 * sparsity["density"]
    figure = figures.make(6.4, 1.5 + _PER_LAYER * (1 + len(layers)))
    axes = figure.add_subplot()
    places = range(len(layers))
    axes.barh(places, densities, color="C0", label="weights kept")
    structured = [place for place in places if layers[place].get("units")]
    shares = [
        100 * layers[place]["units_kept"] / layers[place]["units"]
        for place in structured
    ]
    units = units_of(str(sparsity.get("granularity")))
    if structured:
        axes.plot(
            shares,
            structured,
            "o",
            color="C1",
            fillstyle="none",
            markeredgewidth=2,
            clip_on=False,
            label=f"{units} kept",
        )
    if target is not None:
        axes.axvline(
            100 * target,
            color="C3",
            linestyle="--",
            label=f"target, {_share(target)}"
            + (f" of {units}" if structured else ""),
        )
    axes.axvline(
        total,
        color="C7",
        linestyle=":",
        label=f"all layers, {_share(sparsity['density'])}",
    )
    smallest = min([*densities, total])
    if max(densities) > 10 * smallest:
        axes.set_xscale("log")
        axes.set_xlim(10 ** math.floor(math.log10(smallest)), 100)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("kept, % (logarithmic)")
    else:
        axes.set_xlim(0, min(1.1 * max([*densities, *shares]), 100))
        axes.set_xlabel("kept, %")
    axes.set_yticks(places, [layer["name"] for layer in layers], fontsize=7)
    # From the image down to the classes.
    axes.set_ylim(len(layers) - 0.4, -0.6)
    # The figures, where neither bars nor lines can cross them.
    margin = axes.secondary_yaxis("right")
    margin.set_yticks(
        places, [_share(layer["density"]) for layer in layers], fontsize=7
    )
    margin.tick_params(length=0)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, fontsize=8
    )
    return figure


def _share(fraction: float) -> str:
    """Returns a fraction in %, with the digits that small ones need."""
    return f"{100 * fraction:.3g} %"
