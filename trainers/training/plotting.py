"""The plots of a run's folder, and their entries in `metrics.json`."""

from __future__ import annotations

import pathlib
from typing import Any

from hydra_tf.phases import PHASES
from hydra_tf.pruning import Pruning
from trainers.plots import densities
from trainers.plots import learning_curves
from trainers.run.folder import RunFolder


def plot_densities(
    folder: RunFolder,
    sparsity: dict[str, Any],
    title: str,
    pruning: Pruning | None,
) -> dict[str, Any]:
    """Draws what each layer keeps, and returns the record of that.

    Args:
        folder: The folder.
        sparsity: What `metrics.json` holds about it.
        title: Network and data set.
        pruning: How it was pruned, `None` if that was decided elsewhere.
    """
    words, target = [title], None
    if pruning is not None:
        words.append(pruning.method)
        # A file has each layer's density, and the target no part.
        if pruning.density_is_target:
            target = pruning.density
    densities.write(folder.density_plot, sparsity, target, ", ".join(words))
    return _describe(folder.density_plot)


def plot_learning_curves(
    folder: RunFolder, title: str
) -> dict[str, Any] | None:
    """Draws the figures of training and validation, and returns the record.

    Args:
        folder: The folder.
        title: Network and data set.

    Returns:
        `None` if no phase was validated; then nothing is drawn.
    """
    histories = validated(folder)
    if not histories:
        return None
    learning_curves.write(folder.learning_curves, histories, title)
    return _describe(folder.learning_curves)


def validated(folder: RunFolder) -> dict[str, list[dict[str, float]]]:
    """Returns the histories of the phases that have figures of validation."""
    histories = {name: folder.phase(name).read_history() for name in PHASES}
    return {
        name: history
        for name, history in histories.items()
        if history and learning_curves.VALIDATION in history[-1]
    }


def _describe(path: pathlib.Path) -> dict[str, Any]:
    return {"path": path.name, "bytes": path.stat().st_size}
