"""Flags of pseudo-labelling, all that its binary knows."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Fraction

FLAGS = flags.FlagValues()

_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Network that says the classes: the folder of a run, or any .keras file.",
    flag_values=FLAGS,
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "The images: folder:PATH, all pictures in a folder and those below it, "
    "which need no folder for each class; or the training images of a data set "
    "of any name that the training binaries take. They are brought to the size "
    "that the network takes.",
    flag_values=FLAGS,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of prepared data sets, as for training.",
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The .npz file to write, for --extra_data of the training binaries: the "
    "arrays images (uint8), labels and confidences.",
    flag_values=FLAGS,
)
_MIN_CONFIDENCE = define(
    Fraction(
        name="min_confidence",
        default=0.0,
        exclude_upper=True,
        help="Least probability of the class for an image to be kept, in "
        "[0, 1). 0 keeps all.",
    ),
    flag_values=FLAGS,
)
_BATCH_SIZE = define(
    Count(
        name="batch_size",
        default=128,
        lower=1,
        help="Images per call of the network.",
    ),
    flag_values=FLAGS,
)
_PROGRESS = define(
    Choice(
        name="progress",
        default="auto",
        choices=("auto", "none"),
        help="Whether a line shows how many images are done.",
    ),
    flag_values=FLAGS,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabelSettings:
    """Which images get whose labels; the fields are flags."""

    source: str
    dataset: str
    data_dir: str | None
    output: str
    min_confidence: float
    batch_size: int
    progress: str


def pseudo_label_from_flags() -> PseudoLabelSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If a flag is missing.
    """
    for flag, what in (
        (_SOURCE, "name the folder of a run or a .keras file"),
        (_DATASET, "name the images, such as folder:PATH"),
        (_OUTPUT, "name the .npz file to write"),
    ):
        if not flag.value:
            raise flags.ValidationError(
                f"flag --{flag.name}: is required; {what}"
            )
    if not _OUTPUT.value.endswith(".npz"):
        raise flags.ValidationError(
            "flag --output: must be a path that ends in .npz. Received: "
            f"{_OUTPUT.value}"
        )
    return PseudoLabelSettings(
        source=_SOURCE.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        output=_OUTPUT.value,
        min_confidence=_MIN_CONFIDENCE.value,
        batch_size=_BATCH_SIZE.value,
        progress=_PROGRESS.value,
    )
