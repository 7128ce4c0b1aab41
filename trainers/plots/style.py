"""How the figures of the report look, on paper and on a page.

A page shows a figure as SVG within its HTML: text and lines take the colour of
the text around them, and each series its colour of the page's theme, light or
dark. The PNG file of the same figure has those of the light one.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from typing import Any

from trainers.plots import figure as figures

INK = "#15181d"
# Of what is not compared: networks before pruning, pruned weights.
GREY = "#868d97"
# After Okabe and Ito, told apart by people who see colours differently. The
# page has the same with more light for the dark theme.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b5679a", "#c98a00", "#3f9fd6")
DARK = ("#5ab4f0", "#ff8a3d", "#2fc79a", "#e79bc8", "#f2b840", "#9bd4f7")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
# Narrow, so that text stays legible where the page is as wide as a phone.
WIDTH = 4.2

_SETTINGS = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.13,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "patch.linewidth": 0,
    "svg.fonttype": "none",
}


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Lets a function draw in this style."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(_SETTINGS):
            return draw(*args, **kwargs)

    return drawn


def make(height: float) -> Any:
    """Returns an empty figure of the width that all have.

    Args:
        height: In inches.
    """
    return figures.make(WIDTH, height)


def color(index: int) -> str:
    """Returns the colour of a series."""
    return SERIES[index % len(SERIES)]


def marker(index: int) -> str:
    """Returns the marker of a series."""
    return MARKERS[index % len(MARKERS)]


def legend(figure: Any, axes: Any) -> None:
    """Puts the legend of axes below a figure, in as many columns as fit."""
    labelled = dict(
        zip(*reversed(axes.get_legend_handles_labels()), strict=True)
    )
    if labelled:
        # Inches: those of a letter, of handle and gap.
        widest = 0.075 * max(map(len, labelled)) + 0.55
        figure.legend(
            labelled.values(),
            labelled.keys(),
            loc="outside lower left",
            ncols=min(max(int(WIDTH / widest), 1), len(labelled)),
        )


def densities(axis: Any, values: list[float]) -> None:
    """Labels a place of an axis for each density."""
    axis.set_ticks(range(len(values)), [density(each) for each in values])


def density(value: float) -> str:
    """Returns a density as `"5 %"`."""
    return f"{100 * value:.3g} %"


def svg(figure: Any, name: str) -> str:
    """Returns a figure as SVG to stand in HTML.

    Args:
        figure: A figure of `make`.
        name: What no other figure of the page is called.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None},
        )
    # Laid out now; to do so again for the PNG file would take as long.
    figure.set_layout_engine("none")
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.S)
    drawing = re.sub(r' xmlns(:\w+)?="[^"]*"', "", drawing)
    # The page's own: ids of groups are the same in every figure.
    drawing = re.sub(r'<g id="[^"]*">', "<g>", drawing)
    drawing = re.sub(
        r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", drawing, count=1
    )
    drawing = drawing.replace(INK, "currentColor")
    drawing = drawing.replace(GREY, "var(--grey)")
    for index, each in enumerate(SERIES):
        drawing = drawing.replace(each, f"var(--series-{index})")
    return drawing
