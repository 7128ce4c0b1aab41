"""The plot of kept and pruned weights by their magnitude before pruning.

Scores that were trained keep small weights and prune large ones, where
magnitude pruning draws a line: Sehwag et al., 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainers.plots import style


@style.styled
def draw(panels: Mapping[str, tuple[np.ndarray, np.ndarray, int]]) -> Any:
    """Returns a figure with a panel for each network.

    Args:
        panels: By title the magnitudes, the mask, and the number of the
            colour.
    """
    figure = style.make(0.8 + 1.7 * len(panels))
    axes_of = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    end = max(np.quantile(each, 0.999) for each, _, _ in panels.values())
    edges = np.linspace(0, max(float(end), 1e-6), 41)
    for axes, (title, (sizes, mask, index)) in zip(
        axes_of, panels.items(), strict=True
    ):
        sizes = np.minimum(sizes, edges[-1])
        for chosen, color, alpha, word in (
            (~mask, style.GREY, 0.45, "pruned"),
            (mask, style.color(index), 0.75, "kept"),
        ):
            counts, _ = np.histogram(sizes[chosen], edges)
            axes.stairs(
                counts, edges, fill=True, color=color, alpha=alpha, label=word
            )
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.set_title(title)
        axes.set_ylabel("weights")
        axes.grid(axis="x", visible=False)
        axes.legend(loc="upper right", ncols=2)
    axes_of[-1].set_xlabel("magnitude / root mean square of the layer")
    return figure
