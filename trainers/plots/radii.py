"""Plots of accuracy over the radius: under attack, and proved."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from trainers.plots import style

_NORMS = {"linf": "Linf", "l2": "L2"}


@dataclasses.dataclass(frozen=True)
class Curve:
    """Accuracy over the radius.

    Attributes:
        label: What it is of.
        radii: The radii, ascending.
        accuracies: Fraction of the images at each.
        color: Number of the colour.
        line: Number of the line style.
        drawstyle: As of matplotlib: `"default"` joins the points,
            `"steps-pre"` holds each back to the one before.
    """

    label: str
    radii: Sequence[float]
    accuracies: Sequence[float]
    color: int
    line: int
    drawstyle: str = "default"


@style.styled
def draw(
    curves: Sequence[Curve],
    threat_model: str,
    what: str,
    marked: float | None = None,
) -> Any:
    """Returns a figure of curves.

    Args:
        curves: The curves.
        threat_model: Norm of the radii.
        what: Which accuracy it is.
        marked: A radius to mark, such as that of the other attacks.
    """
    figure = style.make(3.2 + 0.1 * len(curves))
    axes = figure.add_subplot()
    for curve in curves:
        axes.plot(
            curve.radii,
            [100 * each for each in curve.accuracies],
            color=style.GREY if curve.color < 0 else style.color(curve.color),
            linestyle=style.LINES[curve.line % len(style.LINES)],
            drawstyle=curve.drawstyle,
            label=curve.label,
        )
    if marked:
        axes.axvline(marked, color=style.GREY, linewidth=1, linestyle=":")
        axes.annotate(
            f"{marked:.3g}",
            (marked, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -9),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlim(left=0)
    axes.set_ylim(0, 103)
    axes.set_xlabel(f"radius, {_NORMS[threat_model]}, images in [0, 1]")
    axes.set_ylabel(f"{what}, %")
    style.legend(figure, axes)
    return figure
