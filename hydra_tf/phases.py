"""The phases that a network goes through, in their order."""

from __future__ import annotations

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches

PHASES = ("pretrain", "prune", "finetune")


def check_phase(phase: str | None) -> None:
    """Raises `InputError` unless `phase` is a phase or `None`."""
    if phase is not None and phase not in PHASES:
        raise InputError(
            f"`phase` must be one of {', '.join(PHASES)}. "
            f"{close_matches(str(phase), PHASES)} Received: phase={phase!r}"
        )
