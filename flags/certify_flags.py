"""Flags of the certification of a network, all that its binary knows.

They are kept apart from those of training, some of which bear the same names:
`--method` is a method of proving here.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

from flags.from_settings import define
from flags.from_settings import define_all
from flags.image_flags import ImageSettings
from flags.image_flags import define_images
from hydra_tf.registry.evaluation import CERTIFICATION
from hydra_tf.registry.evaluation import EPSILONS
from hydra_tf.registry.evaluation import L2_RADII
from hydra_tf.registry.evaluation import NUM_CERTIFIED
from hydra_tf.registry.evaluation import SMOOTHING
from hydra_tf.registry.settings import Choice

if TYPE_CHECKING:
    from hydra_tf.evaluation import CertificationSettings

FLAGS = flags.FlagValues()

# What only one kind of method reads.
_OF_SMOOTHING = ("sigma", "n0", "n", "alpha", "seed")
_OF_BOUNDS = ("dtype",)

_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Network to certify: the folder of a run, or any .keras file; with "
    "--method=smoothing also the folder of a SavedModel.",
    flag_values=FLAGS,
)
_CERTIFICATION = define_all(
    (each for each in CERTIFICATION if each.name != L2_RADII.name), FLAGS
)
_EPSILONS = define(EPSILONS, flag_values=FLAGS)
_RADII = define(L2_RADII, flag_values=FLAGS)
_IMAGES = define_images(FLAGS)
_NUM_EXAMPLES = define(NUM_CERTIFIED, flag_values=FLAGS)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of the results. The same command resumes a certification that was "
    "stopped.",
    flag_values=FLAGS,
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Whether to start again and replace an earlier certification in "
    "--output_dir.",
    flag_values=FLAGS,
)
_PROGRESS = define(
    Choice(
        name="progress",
        default="auto",
        choices=("auto", "steps", "none"),
        help="Whether a line shows how many images are done.",
    ),
    flag_values=FLAGS,
)


@dataclasses.dataclass(frozen=True)
class CertifySettings:
    """What is certified and how; the fields are flags."""

    source: str
    certification: CertificationSettings
    images: ImageSettings
    num_examples: int | None
    output_dir: str
    overwrite: bool
    progress: str


def certify_from_flags() -> CertifySettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If a flag is missing, or is of another method.
    """
    if not _SOURCE.value:
        raise flags.ValidationError(
            "flag --source: is required; name the folder of a run or a .keras "
            "file"
        )
    if not _OUTPUT_DIR.value:
        raise flags.ValidationError(
            "flag --output_dir: is required; name the folder of the results"
        )
    return CertifySettings(
        source=_SOURCE.value,
        certification=_certification(),
        images=ImageSettings(**_IMAGES()),
        num_examples=_NUM_EXAMPLES.value,
        output_dir=_OUTPUT_DIR.value,
        overwrite=_OVERWRITE.value,
        progress=_PROGRESS.value,
    )


def _certification() -> CertificationSettings:
    """Returns the library's settings."""
    from hydra_tf.evaluation import CertificationSettings

    values = {name: flag.value for name, flag in _CERTIFICATION.items()}
    smooths = values["method"] == SMOOTHING
    for name in _OF_BOUNDS if smooths else _OF_SMOOTHING:
        if _CERTIFICATION[name].present:
            raise flags.ValidationError(
                f"flag --{name}: is of {'bounds' if smooths else SMOOTHING}; "
                f"--method={values['method']} does not read it"
            )
    if smooths:
        if _EPSILONS.value is not None:
            raise flags.ValidationError(
                "flag --epsilons: is of bounds; smoothing certifies L2 radii, "
                "which --radii gives"
            )
        return CertificationSettings(**values, radii=_RADII.value)
    if _RADII.value is not None:
        raise flags.ValidationError(
            f"flag --radii: is of smoothing; {values['method']} certifies Linf "
            "radii, which --epsilons gives"
        )
    return CertificationSettings(**values, radii=_EPSILONS.value)
