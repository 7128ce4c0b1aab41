"""Flags of a binary that runs one phase."""

from __future__ import annotations

from flags import parsing
from flags import pipeline_flags

_EPOCHS = parsing.DEFINE_count(
    "epochs",
    None,
    "Epochs of the phase. By default those that --pretrain_epochs, "
    "--prune_epochs or --finetune_epochs gives it.",
)


def epochs_from_flags(
    phase: str, pipeline: pipeline_flags.PipelineSettings
) -> int:
    """Returns the epochs of a phase.

    Args:
        phase: Name of the phase.
        pipeline: The settings of the pipeline, which a recipe gives.
    """
    value = _EPOCHS.value
    return pipeline.epochs[phase] if value is None else value
