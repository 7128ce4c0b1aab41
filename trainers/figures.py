"""Plots as PNG files, made without a display."""

from __future__ import annotations

import io
import os
import pathlib
from typing import Any


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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)
