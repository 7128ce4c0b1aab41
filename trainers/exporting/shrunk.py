"""Removing channels from a network before it is exported."""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import numpy as np

from flags import export_flags
from hydra_tf import evaluation
from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.training.checkpoints import save_network

# Fraction of the weights left from which on it is said that it is so many.
_NEARLY_ALL = 0.95
# Images on which the outputs before and after are compared.
_NUM_COMPARED = 8


def shrink(
    network: keras.Model,
    where: str,
    settings: export_flags.ExportSettings,
) -> tuple[keras.Model, dict[str, Any]]:
    """Returns the smaller network, and the record of what it saves.

    Args:
        network: The network, masked or not.
        where: What to call it in a message, such as `--source=x.keras`.
        settings: The flags.

    Raises:
        InputError: If nothing can be removed.
    """
    plain = evaluation.as_exported(network)
    smaller = pruning.shrink(plain, multiple_of=settings.round_channels)
    if smaller.count_params() >= plain.count_params():
        raise InputError(
            f"--shrink finds no channel to remove in {where}: zeros left by "
            "--granularity=weight or N:M (and by no pruning) are spread over "
            "channels that are in use, and cannot be cut out; prune with "
            f"--granularity={' or '.join(STRUCTURED)}, or leave --shrink out"
        )
    report = pruning.shrink_report(
        plain, smaller, batch_size=settings.shrink_batch_size
    )
    if report.after.weights > _NEARLY_ALL * report.before.weights:
        say(
            "Nearly all channels are in use: zeros that masks of single "
            "weights or N:M leave cannot be cut out."
        )
    difference = _largest_difference(plain, smaller)
    say(
        f"Shrunk, timed on {settings.shrink_batch_size} image(s) a call:\n\n"
        f"{report}\n\n"
        f"Largest difference of the logits: {difference:.1e}\n"
    )
    return smaller, {**report.to_dict(), "largest_difference": difference}


def write(network: keras.Model, path: pathlib.Path) -> dict[str, Any]:
    """Writes the smaller network as a Keras file; returns its record."""
    save_network(network, path)
    return {"path": path.name, "bytes": path.stat().st_size}


def _largest_difference(before: keras.Model, after: keras.Model) -> float:
    shape = (_NUM_COMPARED, *before.inputs[0].shape[1:])
    images = np.random.default_rng(0).uniform(size=shape).astype("float32")
    outputs = [
        keras.ops.convert_to_numpy(model(images, training=False))
        for model in (before, after)
    ]
    first, second = (each.astype(np.float64) for each in outputs)
    return float(np.abs(first - second).max())
