"""Figures and tables for people: aligned columns, or Markdown."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "-"

_NORMS = {"linf": "Linf", "l2": "L2"}


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


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; columns without any entry are left out.

    Args:
        header: Name of each column.
        rows: Cells, as many in each row as there are columns.
    """
    used = [
        index
        for index in range(len(header))
        if any(row[index] not in ("", UNKNOWN) for row in rows)
    ]
    lines = [
        " | ".join(line[index].replace("|", "\\|") for index in used)
        for line in [header, *rows]
    ]
    lines.insert(1, " | ".join("---" for _ in used))
    return "\n".join(f"| {line} |" for line in lines)


def percent(fraction: float | None) -> str:
    """Returns a fraction as `"78.6 %"`, or `"-"` for `None`."""
    if fraction is None:
        return UNKNOWN
    # One digit, or enough that a density of 0.1 % does not read as 0.
    digits = 1 if fraction == 0 or fraction >= 0.01 else 3
    return f"{100 * fraction:.{digits}f} %"


def percent_range(low: float, high: float) -> str:
    """Returns two fractions as `"71.1 to 86.7 %"`."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def number(value: float | None) -> str:
    """Returns a number as `"94,096"`, or `"-"` for `None`."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def size(num_bytes: float | None) -> str:
    """Returns a number of bytes as `"347.4 kB"`, or `"-"` for `None`."""
    if num_bytes is None:
        return UNKNOWN
    if num_bytes < 1000:
        return f"{num_bytes:.0f} bytes"
    amount, *units = num_bytes / 1000, "kB", "MB", "GB"
    while amount >= 999.95 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:,.1f} {units[0]}"


def duration(seconds: float | None) -> str:
    """Returns seconds as `"4 s"`, `"3:05 min"` or `"2:10:00 h"`, or `"-"`."""
    if seconds is None:
        return UNKNOWN
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} h"


def radius(value: float) -> str:
    """Returns 0.0313725 as `"8/255 (0.03137)"`, the way the field does."""
    levels = value * 255
    if 0 < levels and abs(levels - round(levels)) < 1e-6 * levels:
        return f"{round(levels)}/255 ({value:.4g})"
    return f"{value:.4g}"


def ball(threat_model: str, radius: float) -> str:
    """Returns a radius as people write it: `"Linf 0.2"`, `"Linf 2/255"`."""
    shown = f"{radius:.4g}"
    levels = radius * 255
    if float(shown) != radius and abs(levels - round(levels)) < 1e-6 * levels:
        shown = f"{round(levels)}/255"
    return f"{_NORMS[threat_model]} {shown}"


def some_names(names: Sequence[str], most: int = 6) -> str:
    """Returns names in quotes, the first few of many.

    Args:
        names: The names.
        most: How many to write out.

    Example:

    >>> some_names(["a", "b", "c", "d"], most=2)
    "'a', 'b' and 2 more"
    """
    shown = ", ".join(repr(str(name)) for name in names[:most])
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
