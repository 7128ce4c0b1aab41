"""The folder of a run."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from hydra_tf import text
from hydra_tf.errors import InputError
from trainers.inspection import keras_file
from trainers.inspection.description import Description
from trainers.model_card import formats_section
from trainers.model_card.entries import section
from trainers.run import source
from trainers.run.folder import RunFolder
from trainers.terminal import results

_SHOWN = ("objective", "epsilon", "method", "granularity", "quantize", "seed")


def describe(path: pathlib.Path) -> Description:
    """Returns what is known of a run, and of the network it ended with.

    Raises:
        InputError: If its files cannot be read.
    """
    folder = RunFolder(path)
    metrics = folder.read_metrics()
    run, data = section(metrics, "run"), section(metrics, "dataset")
    sparsity = section(metrics, "sparsity")
    phase = folder.last_finished()
    shape = data.get("image_shape")
    description = Description(
        {
            "what": f"folder of {run.get('binary', 'a run')}",
            "path": str(path),
            "last phase": phase or "none finished",
            "network": str(run.get("model") or run.get("source") or ""),
            **{
                name: str(run[name])
                for name in _SHOWN
                if run.get(name) is not None
            },
            "density": text.percent(sparsity.get("density"))
            if sparsity
            else "",
            "data set": str(data.get("name", "")),
            "images": " x ".join(map(str, shape)) if shape else "",
            "command": str(run.get("command", "")),
            "versions": _versions(section(metrics, "environment")),
        }
    )
    rows: list[results.Row] = [
        (name, entry, {})
        for name, entry in section(metrics, "phases").items()
        if "natural_accuracy" in entry
    ]
    if rows:
        description.parts.append(results.table(rows))
    formats = section(metrics, "formats")
    if formats:
        description.parts.append(text.table(*formats_section.cells(formats)))
    try:
        network = keras_file.describe(source.find(str(path)))
    except InputError:
        return description
    description.facts["input range"] = network.facts["input range"]
    description.parts.append(f"{network}")
    return description


def _versions(environment: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {environment[name]}"
        for name in ("hydra_tf", "tensorflow", "keras", "python")
        if name in environment
    )
