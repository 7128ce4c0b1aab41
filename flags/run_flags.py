"""Flags of a run: where it writes, what it shows."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import parsing

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of the run. A run that was stopped goes on when the same command "
    "is given again.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Whether to start again and replace what an earlier run left in "
    "--output_dir.",
)
_PROGRESS = parsing.DEFINE_name(
    "progress",
    "auto",
    ("auto", "steps", "epochs", "none"),
    "What is shown while training: every step, every epoch, or nothing. auto "
    "shows steps on a terminal, epochs elsewhere.",
)
_TENSORBOARD_IMAGES = parsing.DEFINE_count(
    "tensorboard_images",
    4,
    "Test images shown in TensorBoard each epoch, with their adversarial "
    "examples. 0 for none.",
)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where a run writes and what it shows; the fields are flags."""

    output_dir: str
    overwrite: bool
    progress: str
    tensorboard_images: int


def run_from_flags() -> RunSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If `--output_dir` is missing.
    """
    if not _OUTPUT_DIR.value:
        raise flags.ValidationError(
            "flag --output_dir: is required; name the folder of the run"
        )
    return RunSettings(
        output_dir=_OUTPUT_DIR.value,
        overwrite=_OVERWRITE.value,
        progress=_PROGRESS.value,
        tensorboard_images=_TENSORBOARD_IMAGES.value,
    )
