"""Flags of an export: what is done to the network, and its formats."""

from __future__ import annotations

import dataclasses
import re

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.export import FORMAT_NAMES
from hydra_tf.registry.export import THREADS
from hydra_tf.registry.granularities import MULTIPLE_OF
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Switch
from hydra_tf.registry.settings import Text

_SHRINK = define(
    Switch(
        name="shrink",
        default=False,
        help="Whether channels that have no part in the outputs are removed "
        "before the network is written, as a SavedModel and as shrunk.keras. "
        f"For networks pruned with --granularity={' or '.join(STRUCTURED)}.",
    )
)
_SHRINK_BATCH_SIZE = define(
    Count(
        name="shrink_batch_size",
        default=1,
        lower=1,
        help="Images per call when the network is timed before and after "
        "--shrink.",
    )
)
_ROUND_CHANNELS = define(MULTIPLE_OF)
_FORMATS = define(FORMAT_NAMES)
_SERVING_NAME = define(
    Text(
        name="serving_name",
        default="network",
        help="Name of the model in TensorFlow Serving, with --formats=serving.",
    )
)
_SERVING_VERSION = define(
    Count(
        name="serving_version",
        lower=1,
        help="Its version, by default the one after the highest there is.",
    )
)
_THREADS = define(THREADS)
_VNNLIB_IMAGES = define(
    Count(
        name="vnnlib_images",
        default=0,
        help="With --formats=onnx: how many of the test images that formats "
        "are measured on get a robustness property in VNN-LIB beside the file, "
        "for other verifiers; the radius is --eval_epsilon.",
    )
)


# A folder's name, and a part of the URL under which a server has the model.
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """How a network is written; the fields are flags."""

    shrink: bool
    shrink_batch_size: int
    round_channels: int
    formats: tuple[str, ...]
    latency_threads: int
    serving_name: str
    serving_version: int | None
    vnnlib_images: int


def export_from_flags() -> ExportSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If one is of --shrink or of a format that is not
            given, there is no format, or the name is none of a folder.
    """
    if not _FORMATS.value:
        raise flags.ValidationError(
            "flag --formats=: must name some of "
            + ", ".join(FORMAT_NAMES.choices)
        )
    if not _NAME.fullmatch(_SERVING_NAME.value):
        raise flags.ValidationError(
            f"flag --serving_name={_SERVING_NAME.value}: must be a name of "
            "letters, digits, _, - and ."
        )
    formats = list(_FORMATS.value)
    if _FORMATS.present and "saved_model" in formats:
        # Who asks for it by name deploys it.
        formats = list(dict.fromkeys([*formats, "serving"]))
    for flag, needed, is_given in (
        (_SHRINK_BATCH_SIZE, "--shrink", _SHRINK.value),
        (_ROUND_CHANNELS, "--shrink", _SHRINK.value),
        (_SERVING_NAME, "--formats=serving", "serving" in formats),
        (_SERVING_VERSION, "--formats=serving", "serving" in formats),
        (_VNNLIB_IMAGES, "--formats=onnx", "onnx" in formats),
    ):
        if flag.present and not is_given:
            raise flags.ValidationError(
                f"flag --{flag.name}={flag.value}: is of {needed}; give that, "
                "too"
            )
    return ExportSettings(
        shrink=_SHRINK.value,
        shrink_batch_size=_SHRINK_BATCH_SIZE.value,
        round_channels=_ROUND_CHANNELS.value,
        formats=tuple(formats),
        latency_threads=_THREADS.value,
        serving_name=_SERVING_NAME.value,
        serving_version=_SERVING_VERSION.value,
        vnnlib_images=_VNNLIB_IMAGES.value,
    )
