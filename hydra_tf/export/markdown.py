"""Figures and tables as a page in Markdown shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

UNKNOWN = "-"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Returns a Markdown table; columns without any entry are left out."""
    rows = list(rows)
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


def percent(value: float | None) -> str:
    """Returns a fraction as `"98.3 %"`, or `UNKNOWN` for `None`."""
    if value is None:
        return UNKNOWN
    # One digit, or enough that a density of 0.1 % does not read as 0.
    digits = 1 if value == 0 or value >= 0.01 else 3
    return f"{100 * value:.{digits}f} %"


def number(value: float | None) -> str:
    """Returns a number with separators, or `UNKNOWN` for `None`."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def seconds(value: float | None) -> str:
    """Returns a time in the unit that suits it, or `UNKNOWN`."""
    if value is None:
        return UNKNOWN
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(value: int | None) -> str:
    """Returns a number of bytes in the unit that suits it, or nothing."""
    if value is None:
        return ""
    if value < 1000:
        return f"{value} bytes"
    size = float(value)
    units = ["kB", "MB", "GB"]
    size /= 1000
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:,.1f} {units[0]}"


def fraction(value: float) -> str:
    """Writes 0.0313725 as 8/255, the way the field does."""
    levels = value * 255
    if 0 < levels and abs(levels - round(levels)) < 1e-6 * levels:
        return f"{round(levels)}/255 ({value:.4g})"
    return f"{value:.4g}"


def relative(path: str, folder: str | os.PathLike | None) -> str:
    """Returns a path inside a folder relative to it, others unchanged."""
    if folder is None or not os.path.isabs(path):
        return str(path)
    inside = os.path.relpath(path, os.path.abspath(folder))
    return str(path) if inside.startswith("..") else inside


def plain(value: Any) -> str:
    """Returns a value of a table without quotes and brackets."""
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        return ", ".join(str(each) for each in value)
    return str(value)
