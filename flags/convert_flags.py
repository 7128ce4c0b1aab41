"""Flags of reading a checkpoint of PyTorch, all that its binary knows."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from flags.from_settings import define
from flags.from_settings import define_all
from flags.image_flags import ImageSettings
from flags.image_flags import define_images
from hydra_tf.registry.models import MODELS
from hydra_tf.registry.settings import Choice
from hydra_tf.registry.torch_checkpoints import SETTINGS

FLAGS = flags.FlagValues()

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "The .pth.tar file of HYDRA or HARP.",
    flag_values=FLAGS,
)
_MODEL = define(
    Choice(
        name="model",
        default=None,
        choices=MODELS.names,
        help="Architecture, by default what the checkpoint calls it.",
    ),
    flag_values=FLAGS,
)
_SETTINGS = define_all(SETTINGS, FLAGS)
_IMAGES = define_images(FLAGS)
# Without one, a network's own shape and the checkpoint's classes.
FLAGS.set_default("dataset", None)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder that the network is written to.",
    flag_values=FLAGS,
)


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """What is read and how; the fields are flags.

    Attributes:
        checkpoint: The file.
        model: Name of the network, or `None`.
        images: What it is for; `None` where --dataset is not given.
        arguments: Those of `hydra_tf.load_torch_checkpoint` that have flags.
        output_dir: Where the network is written to.
    """

    checkpoint: str
    model: str | None
    images: ImageSettings | None
    arguments: dict[str, Any]
    output_dir: str


def convert_from_flags() -> ConvertSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If a flag is missing.
    """
    if not _CHECKPOINT.value:
        raise flags.ValidationError(
            "flag --checkpoint: is required; name a .pth.tar file"
        )
    if not _OUTPUT_DIR.value:
        raise flags.ValidationError(
            "flag --output_dir: is required; name a folder for the network"
        )
    images = None
    if FLAGS["dataset"].value is not None:
        images = ImageSettings(**_IMAGES())
    else:
        for name in ("image_size", "image_channels"):
            if FLAGS[name].present:
                raise flags.ValidationError(
                    f"flag --{name}: is of --dataset; give that, too"
                )
    return ConvertSettings(
        checkpoint=_CHECKPOINT.value,
        model=_MODEL.value,
        images=images,
        arguments={name: flag.value for name, flag in _SETTINGS.items()},
        output_dir=_OUTPUT_DIR.value,
    )
