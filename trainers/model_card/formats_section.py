"""The section of a model card on the formats that a network is there in."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from hydra_tf import text
from hydra_tf.registry.export import FORMATS

ACCURACIES = (
    "natural_accuracy",
    "transferred_accuracy",
    "square_accuracy",
    "agreement",
)


def write(formats: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the section as Markdown, empty if there is one format only.

    Args:
        formats: What `metrics.json` holds about them.
    """
    if not formats:
        return ""
    names, rows = cells(formats)
    files = [f"`{entry['path']}`" for entry in formats.values()]
    table = text.markdown_table(
        [*names, "file"],
        [[*row, file] for row, file in zip(rows, files, strict=True)],
    )
    return f"## Formats\n\n{table}\n\n{note(formats)}"


def note(formats: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns what the columns of the table mean."""
    first = next(iter(formats.values()))
    threads = next(
        (each["threads"] for each in formats.values() if each.get("threads")), 1
    )
    return (
        f"Measured on {first['num_examples']} test images, Linf radius "
        f"{first['epsilon']:.4g}. Transferred: adversarial examples of the "
        f"network in floats, PGD on the margin with {first['num_steps']} "
        f"steps. Square: attacked directly, {first['num_queries']} queries an "
        "image. Agreement: the same class as the network in floats. "
        f"Milliseconds of a call: median (95 %), on {threads} thread"
        f"{'s' if threads > 1 else ''}; TensorFlow takes as many as there are."
    )


def cells(
    formats: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], list[list[str]]]:
    """Returns header and cells of the table.

    Args:
        formats: What `metrics.json` holds about them.
    """
    batches = sorted(
        {
            each["batch_size"]
            for entry in formats.values()
            for each in entry["latencies"]
        }
    )
    rows = []
    for name, entry in formats.items():
        times = {
            each["batch_size"]: f"{each['median']:.3g} ({each['p95']:.3g})"
            for each in entry["latencies"]
        }
        rows.append(
            [
                FORMATS[name].title if name in FORMATS else name,
                text.size(entry["bytes"]),
                text.size(entry["compressed_bytes"]),
                *[text.percent(entry[key]) for key in ACCURACIES],
                *[times.get(size, "") for size in batches],
            ]
        )
    return header(batches), rows


def header(batch_sizes: Iterable[int]) -> list[str]:
    """Returns the names of the table's columns.

    Args:
        batch_sizes: Images of the calls that were timed.
    """
    return [
        "format",
        "size",
        "gzip",
        "natural",
        "transferred",
        "square",
        "agreement",
        *[f"ms for {size}" for size in batch_sizes],
    ]
