"""Flags of an export."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import export_flags


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], (False, 1)),
        (["--shrink", "--shrink_batch_size=8"], (True, 8)),
    ],
)
def test_settings_arrive(arguments, settings):
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", *arguments])
        parsed = export_flags.export_from_flags()
    assert (parsed.shrink, parsed.shrink_batch_size) == settings


@pytest.mark.parametrize(
    ("argument", "needed"),
    [
        ("--shrink_batch_size=8", "--shrink"),
        ("--round_channels=8", "--shrink"),
        ("--serving_name=digits", "--formats=serving"),
        ("--serving_version=2", "--formats=serving"),
    ],
)
def test_flags_without_what_they_are_of_are_refused(argument, needed):
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", argument])
        with pytest.raises(flags.ValidationError, match=f"is of {needed};"):
            export_flags.export_from_flags()
