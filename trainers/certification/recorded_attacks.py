"""What attacks left of a network, as its run recorded it."""

from __future__ import annotations

import pathlib
from typing import Any

from trainers.run import source
from trainers.run.folder import RunFolder

_KEYS = {"robust_accuracy", "attacks", "num_examples"}


def recorded_attacks(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns what attacks left of the same network, if a run recorded it."""
    phase: str | None = path.stem
    if path.suffix == ".keras" and path.parent.name == "checkpoints":
        folder = RunFolder(path.parent.parent)
    else:
        folder = RunFolder(path.parent)
        phase = folder.last_finished() if path.is_dir() else None
    if phase is None or not folder.finished(phase).is_file():
        return []
    measured = folder.read_metrics().get("phases", {}).get(phase, {})
    digest = source.fingerprint(folder.finished(phase))
    if measured.get("checkpoint") != digest or not _KEYS <= measured.keys():
        return []
    return [
        {
            "attack": name,
            "robust_accuracy": accuracy,
            "num_examples": measured["num_examples"],
            "epsilon": measured["attacks"][name]["epsilon"],
            "threat_model": measured["attacks"][name]["threat_model"],
        }
        for name, accuracy in measured["robust_accuracy"].items()
        if name in measured["attacks"]
    ]
