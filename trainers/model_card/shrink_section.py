"""The section of a model card on what was cut out of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra_tf import text


def write(shrink: Mapping[str, Any]) -> str:
    """Returns the section as Markdown, empty if nothing was cut out.

    Args:
        shrink: What `metrics.json` holds about it.
    """
    if not shrink:
        return ""
    before, after = shrink.get("before") or {}, shrink.get("after") or {}
    prose = (
        "The SavedModel holds a smaller network than the one that was pruned: "
        "channels or heads that had no part in its outputs are gone from its "
        "weights."
    )
    if shrink.get("largest_difference") is not None:
        prose += (
            " On random images the logits of the two differ by at most "
            f"{shrink['largest_difference']:.1e}."
        )
    rows = [
        ["weights, all", *_cells(before, after, "weights")],
        ["FLOPs per image", *_cells(before, after, "flops")],
    ]
    if before.get("seconds") and after.get("seconds"):
        batch_size = shrink.get("batch_size", 1)
        images = "1 image" if batch_size == 1 else f"{batch_size} images"
        rows.append(
            [
                f"time for {images}",
                f"{1000 * before['seconds']:.2f} ms",
                f"{1000 * after['seconds']:.2f} ms",
            ]
        )
    header = ["", "before", "after"]
    return "\n\n".join(
        ["## Channels cut out", prose, text.markdown_table(header, rows)]
    )


def _cells(
    before: Mapping[str, Any], after: Mapping[str, Any], key: str
) -> list[str]:
    return [text.number(each.get(key)) for each in (before, after)]
