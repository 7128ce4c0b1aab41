"""Plots as PNG files, made without a display."""

from __future__ import annotations

import pathlib
from typing import Any

from hydra_tf import files


def make(width: float, height: float) -> Any:
    """Returns an empty figure of matplotlib.

    Args:
        width: In inches.
        height: In inches.
    """
    # Slow to import, and of no use to the other binaries.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write(path: pathlib.Path, figure: Any) -> None:
    """Writes a PNG file that appears under its name when complete.

    Args:
        path: The file, replaced if it is there.
        figure: A figure of `make`.
    """
    with files.replacing_file(path) as partial:
        figure.savefig(partial, format="png", dpi=150)
