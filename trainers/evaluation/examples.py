"""What attacks and proofs found, image by image: `examples.tsv`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from hydra_tf import files
from trainers.evaluation.measuring import Measured


def write(path: pathlib.Path, measured: Mapping[str, Measured]) -> None:
    """Writes a row for every image and network.

    Args:
        path: The file.
        measured: What was measured, by the network's name. Cells of what was
            not measured of a network are empty.
    """
    header = list(
        dict.fromkeys(
            name for each in measured.values() for name in each.header
        )
    )
    lines = ["\t".join(["network", *header])]
    for network, each in measured.items():
        # What separates cells and lines may be part of a path.
        name = " ".join(network.split())
        for row in each.rows:
            cells = dict(zip(each.header, row, strict=True))
            lines.append(
                "\t".join([name, *(cells.get(key, "") for key in header)])
            )
    files.write_text(path, "\n".join(lines) + "\n")
