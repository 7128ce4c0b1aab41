"""The plot of what layers keep, of weights and of FLOPs.

As in Zhao and Wressnegger, 2023, https://openreview.net/forum?id=sAJDi9lD06L.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from trainers.plots import style


@style.styled
def draw(
    names: Sequence[str],
    densities: Mapping[str, Sequence[float]],
    flops: Mapping[str, Sequence[float | None]],
    dense: Sequence[float | None],
    colors: Sequence[int],
) -> Any:
    """Returns a figure with a row for each layer, from the image downwards.

    Args:
        names: The layers.
        densities: The fraction that each layer keeps, by variant.
        flops: The FLOPs of what is left, by variant, `None` if not known.
        dense: The FLOPs before pruning.
        colors: The number of each variant's colour.
    """
    rows = range(len(names))
    figure = style.make(1.3 + 0.24 * len(names))
    known = any(value for values in flops.values() for value in values)
    panels = figure.subplots(1, 1 + known, sharey=True, squeeze=False)[0]
    # Beside each other, within the row.
    gap = min(0.3, 0.6 / max(len(densities) - 1, 1))
    for index, (variant, values) in enumerate(densities.items()):
        shift = (index - (len(densities) - 1) / 2) * gap
        looks = {
            "color": style.color(colors[index]),
            "marker": style.marker(colors[index]),
            "linestyle": "none",
            "label": variant,
            "clip_on": False,
        }
        places = [row + shift for row in rows]
        panels[0].plot([100 * value for value in values], places, **looks)
        if known:
            panels[1].plot(flops[variant], places, **looks)
    panels[0].set_title("weights left, %")
    every = [value for values in densities.values() for value in values]
    _scale(panels[0], [100 * value for value in every], 100)
    if known:
        panels[1].plot(
            dense,
            rows,
            "|",
            color=style.GREY,
            markersize=9,
            markeredgewidth=2,
            label="before pruning",
        )
        panels[1].set_title("FLOPs left")
        left = [each for values in flops.values() for each in values]
        _scale(panels[1], [each for each in [*left, *dense] if each])
    panels[0].set_yticks(rows, names, fontsize=8 if len(names) < 30 else 7)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    style.legend(figure, panels[-1])
    return figure


def _scale(axes: Any, values: list[float], top: float | None = None) -> None:
    """Gives an axis its scale: logarithmic for what spans decades."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) > 10 * min(positive):
        axes.set_xscale("log")
        axes.set_xlim(0.6 * min(positive), top or 1.6 * max(positive))
        if max(positive) < 1e4:
            axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    else:
        axes.set_xlim(0, min(1.15 * max(values, default=1), top or 1e99))
