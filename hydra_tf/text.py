"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows in aligned columns, the first to the left.

    Args:
        header: Name of each column.
        rows: Cells, as many in each row as there are columns.

    Example:

    >>> print(table(["network", "robust"], [["dense", "78.6 %"]]))
    network  robust
    -------  ------
    dense    78.6 %
    """
    cells = [list(header), *[list(row) for row in rows]]
    widths = [
        max(len(cell) for cell in column) for column in zip(*cells, strict=True)
    ]
    cells.insert(1, ["-" * width for width in widths])
    lines = [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def percent(fraction: float | None) -> str:
    """Returns a fraction as `"78.6 %"`, or `"-"` for `None`."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def size(num_bytes: float | None) -> str:
    """Returns a number of bytes as `"347 kB"`, or `"-"` for `None`."""
    if num_bytes is None:
        return "-"
    if num_bytes < 999_500:
        return f"{num_bytes / 1000:.0f} kB"
    return f"{num_bytes / 1_000_000:.1f} MB"


def duration(seconds: float) -> str:
    """Returns seconds as `"4 s"`, `"3:05 min"` or `"2:10:00 h"`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} h"
