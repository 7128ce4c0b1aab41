"""Flags of how long the phases are."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags.from_settings import define
from hydra_tf.phases import PHASES
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
    return f"--{phase}_epochs" if _EPOCHS.value is None else "--epochs"


def check_unused() -> None:
    """Checks that the flag is not given to a binary of several phases.

    Raises:
        flags.ValidationError: If it is.
    """
    if _EPOCHS.value is not None:
        each = ", ".join(f"--{phase}_epochs" for phase in PHASES)
        raise flags.ValidationError(
            f"flag --epochs={_EPOCHS.value}: is of the binary of one phase; "
            f"for the pipeline pass {each}"
        )


def epochs_from_flags(phase: str, epochs: dict[str, int]) -> int:
    """Returns the epochs of a phase that runs alone.

    Args:
        phase: Name of the phase.
        epochs: Those of the pipeline, which a recipe gives.
    """
    return epochs[phase] if _EPOCHS.value is None else _EPOCHS.value
