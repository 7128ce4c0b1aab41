"""Measuring a network into a run's folder, from wherever it was stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hydra_tf import evaluation
from hydra_tf.resumable import digest
from trainers.run.folder import RunFolder


def measure(
    network: Callable[..., Any],
    images: np.ndarray,
    labels: np.ndarray,
    settings: evaluation.EvaluationSettings,
    *,
    folder: RunFolder,
    phase: str,
    checkpoint: str,
    progress: str,
) -> evaluation.Evaluation:
    """Measures a network; see `hydra_tf.evaluation.evaluate`.

    What is done is kept in the folder until the phase is measured, apart for
    other settings and other networks, so that these may change in between.

    Args:
        network: The network, masked or not.
        images: Test images.
        labels: Their classes.
        settings: Attacks and proofs.
        folder: Folder of the run.
        phase: What is measured, such as `"prune"`.
        checkpoint: Digest of the network's file.
        progress: Value of `--progress`.
    """
    identity = json.dumps(
        [dataclasses.asdict(settings), checkpoint, digest(images)]
    )
    name = hashlib.sha256(identity.encode()).hexdigest()[:16]
    result = evaluation.evaluate(
        network,
        images,
        labels,
        settings,
        state=folder.path / _state(phase, name),
        progress=progress,
    )
    # Of settings that were given up.
    for leftover in states(folder, phase):
        leftover.unlink()
    return result


def states(folder: RunFolder, phase: str) -> list[pathlib.Path]:
    """Returns the files of a phase's evaluations that were stopped."""
    return sorted(folder.path.glob(_state(phase, "*")))


def _state(phase: str, name: str) -> str:
    # Hidden: nobody needs to know of it.
    return f".evaluation-{phase}-{name}.json"
