"""Flags of an export: what is done to the network, and its formats."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.export import FORMAT_NAMES
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
_THREADS = define(
    Count(
        name="latency_threads",
        default=1,
        lower=1,
        help="Threads of LiteRT and ONNX Runtime when --formats are timed.",
    )
)


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """How a network is written; the fields are flags."""

    shrink: bool
    shrink_batch_size: int
    formats: tuple[str, ...]
    latency_threads: int
    serving_name: str
    serving_version: int | None


def export_from_flags() -> ExportSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If one is of --shrink or --formats=serving, which
            are not given.
    """
    if _SHRINK_BATCH_SIZE.present and not _SHRINK.value:
        raise flags.ValidationError(
            f"flag --shrink_batch_size={_SHRINK_BATCH_SIZE.value}: is of "
            "--shrink; give that, too"
        )
    if "serving" not in _FORMATS.value:
        for flag in (_SERVING_NAME, _SERVING_VERSION):
            if flag.present:
                raise flags.ValidationError(
                    f"flag --{flag.name}={flag.value}: is of "
                    "--formats=serving; give that, too"
                )
    return ExportSettings(
        shrink=_SHRINK.value,
        shrink_batch_size=_SHRINK_BATCH_SIZE.value,
        formats=tuple(_FORMATS.value),
        latency_threads=_THREADS.value,
        serving_name=_SERVING_NAME.value,
        serving_version=_SERVING_VERSION.value,
    )
