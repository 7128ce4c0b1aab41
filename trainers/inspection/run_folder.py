"""The folder of a run."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from hydra_tf import text
from hydra_tf.errors import InputError
from trainers.inspection import keras_file
from trainers.inspection import saved_model
from trainers.inspection.description import Description
from trainers.model_card import formats_section
from trainers.model_card.entries import section
from trainers.run import source
from trainers.run.folder import RunFolder
from trainers.terminal import results

_SHOWN = ("objective", "epsilon", "method", "granularity", "quantize", "seed")


def is_one(path: pathlib.Path) -> bool:
    """Whether a folder is that of a run or an export."""
    return (path / "metrics.json").is_file() or (path / "checkpoints").is_dir()


def describe_network(path: pathlib.Path) -> Description:
    """Returns what is known of a `.keras` file, and of its run, if it has one.

    Raises:
        InputError: If it cannot be loaded.
    """
    description = keras_file.describe(path)
    if path.parent.name != "checkpoints":
        return description
    metrics = RunFolder(path.parent.parent).read_metrics()
    description.facts |= _settings(section(metrics, "run"))
    figures = section(section(metrics, "phases"), path.stem)
    if "natural_accuracy" in figures:
        description.parts.append(results.table([(path.stem, figures, {})]))
    return description


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
            **_settings(run),
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
        if not saved_model.is_one(folder.saved_model):
            return description
        network = saved_model.describe(folder.saved_model)
    description.facts["input range"] = network.facts.get("input range", "")
    description.parts.append(f"{network}")
    return description


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a run was trained with."""
    return {
        name: str(run[name]) for name in _SHOWN if run.get(name) is not None
    }


def _versions(environment: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {environment[name]}"
        for name in ("hydra_tf", "tensorflow", "keras", "python")
        if name in environment
    )
