"""Flags of how long the phases are."""

from __future__ import annotations

import dataclasses

from flags.from_settings import define
from hydra_tf.registry.training import EPOCHS

_EPOCHS = define(
    dataclasses.replace(
        EPOCHS,
        help="Epochs of the phase, for the binary of one phase. By default "
        "those that --pretrain_epochs, --prune_epochs or --finetune_epochs "
        "gives it.",
    )
)


def name(phase: str) -> str:
    """Returns the flag that gives the epochs of a phase that runs alone.

    Args:
        phase: Name of the phase.
    """
    return f"{phase}_epochs" if _EPOCHS.value is None else "epochs"


def epochs_from_flags(phase: str, epochs: dict[str, int]) -> int:
    """Returns the epochs of a phase that runs alone.

    Args:
        phase: Name of the phase.
        epochs: Those of the pipeline, which a recipe gives.
    """
    return epochs[phase] if _EPOCHS.value is None else _EPOCHS.value
