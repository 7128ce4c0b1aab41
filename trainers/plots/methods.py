"""Plots of methods: by density, and over the compression.

The second is figure 1 of Sehwag et al., 2020, https://arxiv.org/abs/2002.10509.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from trainers.plots import style

# Of a point: its place, mean, deviation or None, and single values.
Point = tuple[float, float, float | None, Sequence[float]]


@style.styled
def by_density(
    panels: Mapping[str, Mapping[str, Sequence[Point]]],
    densities: Sequence[float],
    dense: Mapping[str, float],
) -> Any:
    """Returns a figure with a panel for each accuracy.

    Args:
        panels: By name of the accuracy the points of each variant, which are
            placed at the index of their density.
        densities: The densities.
        dense: The accuracies before pruning, by name.
    """
    figure = style.make(0.9 + 1.9 * len(panels))
    axes_of = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, series) in zip(axes_of, panels.items(), strict=True):
        width = 0.5 / max(len(series) - 1, 1)
        for index, (variant, points) in enumerate(series.items()):
            shift = (index - (len(series) - 1) / 2) * min(width, 0.18)
            color, marker = style.color(index), style.marker(index)
            for place, mean, deviation, values in points:
                axes.errorbar(
                    place + shift,
                    100 * mean,
                    None if deviation is None else 100 * deviation,
                    color=color,
                    marker=marker,
                    markersize=7,
                    capsize=4,
                    linestyle="none",
                    label=variant,
                )
                if len(values) > 1:
                    axes.plot(
                        [place + shift + 0.05] * len(values),
                        [100 * value for value in values],
                        ".",
                        color=color,
                        alpha=0.55,
                        markersize=4,
                    )
        if name in dense:
            axes.axhline(
                100 * dense[name],
                color=style.GREY,
                linestyle="--",
                linewidth=1.2,
                label="before pruning",
            )
        axes.set_title(name)
        axes.set_ylabel("accuracy, %")
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.12)
    axes_of[-1].set_xlim(-0.5, len(densities) - 0.5)
    style.densities(axes_of[-1].xaxis, list(densities))
    axes_of[-1].set_xlabel("weights left")
    style.legend(figure, axes_of[-1])
    return figure


@style.styled
def compression(
    natural: Mapping[str, Sequence[Point]],
    robust: Mapping[str, Sequence[Point]],
    attack: str,
) -> Any:
    """Returns a figure of accuracies over how far a network is compressed.

    Args:
        natural: The points of each variant, placed at their compression.
        robust: The same for robust accuracy.
        attack: What it is measured under.
    """
    figure = style.make(3.6)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    places = set()
    for index, variant in enumerate(natural):
        for points, line, word in (
            (natural[variant], "--", "natural"),
            (robust.get(variant, ()), "-", attack),
        ):
            if not points:
                continue
            xs, means, deviations, _ = zip(*points, strict=True)
            places |= set(xs)
            axes.errorbar(
                xs,
                [100 * mean for mean in means],
                [100 * (each or 0) for each in deviations]
                if any(deviations)
                else None,
                color=style.color(index),
                marker=style.marker(index),
                linestyle=line,
                markerfacecolor="none" if word == "natural" else None,
                capsize=3,
                label=f"{variant}, {word}",
            )
    ticks = _apart(sorted(places))
    axes.set_xticks(ticks, [f"{tick:.3g}×" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 103)
    axes.set_xlabel("compression: weights before / weights left")
    axes.set_ylabel("accuracy, %")
    style.legend(figure, axes)
    return figure


def _apart(places: list[float]) -> list[float]:
    """Returns places that leave room for their labels on a log axis."""
    kept: list[float] = []
    for place in places:
        if not kept or place > 1.35 * kept[-1]:
            kept.append(place)
    return kept
