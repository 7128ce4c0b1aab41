"""Flags of the report, all that its binary knows."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import paths
from flags.from_settings import define
from hydra_tf.registry.settings import Count

FLAGS = flags.FlagValues()

_RUNS = flags.DEFINE_multi_string(
    "runs",
    None,
    "What the report is of: folders of runs, of a sweep, or any folder with "
    "folders of runs in it or one level below, separated by commas. Figures "
    "that trainers.evaluate measured into another folder are added to the run "
    "if that folder is named, too.",
    flag_values=FLAGS,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of the report. By default report/ in the first folder of --runs.",
    flag_values=FLAGS,
)
_IMAGES = define(
    Count(
        name="images",
        default=5,
        help="Test images that are shown with their adversarial versions. 0 "
        "for none.",
    ),
    flag_values=FLAGS,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the prepared data sets of TensorFlow Datasets, for the test "
    "images. By default that of the run.",
    flag_values=FLAGS,
)


@dataclasses.dataclass(frozen=True)
class ReportSettings:
    """What is shown; the fields are flags."""

    runs: tuple[str, ...]
    output_dir: str | None
    images: int
    data_dir: str | None


def report_from_flags() -> ReportSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If `--runs` is missing.
    """
    runs = [path for value in _RUNS.value or () for path in paths.split(value)]
    if not runs:
        raise flags.ValidationError(
            "flag --runs: is required; name folders of runs, or a folder that "
            "holds some"
        )
    return ReportSettings(
        runs=tuple(runs),
        output_dir=_OUTPUT_DIR.value,
        images=_IMAGES.value,
        data_dir=_DATA_DIR.value,
    )
