"""Flags of a run: where it writes."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Steps

_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of the run. A run that was stopped resumes when the same command "
    "is given again.",
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Whether to start again and replace what an earlier run left in "
    "--output_dir.",
)
_TENSORBOARD_IMAGES = define(
    Count(
        name="tensorboard_images",
        default=4,
        help="Test images that training shows in TensorBoard each epoch, with "
        "their adversarial examples. 0 for none.",
    )
)
_PROFILE_STEPS = define(
    Steps(
        name="profile_steps",
        help="First and last step of each phase that TensorBoard shows a "
        "profile of, such as 10,20, counted from 1 where the phase begins or "
        "resumes. None by default.",
    )
)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where a run writes; the fields are flags."""

    output_dir: str
    overwrite: bool
    tensorboard_images: int
    profile_steps: tuple[int, int] | None


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
        tensorboard_images=_TENSORBOARD_IMAGES.value,
        profile_steps=_PROFILE_STEPS.value,
    )
