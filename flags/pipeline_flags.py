"""Flags of the pipeline's phases."""

from __future__ import annotations

from flags.from_settings import define
from hydra_tf.registry.training import PHASE_EPOCHS

_EPOCHS = {phase: define(setting) for phase, setting in PHASE_EPOCHS.items()}


def pipeline_from_flags() -> dict[str, int]:
    """Returns the epochs of each phase that the parsed flags stand for."""
    return {phase: flag.value for phase, flag in _EPOCHS.items()}
