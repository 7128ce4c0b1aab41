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


def test_batches_of_what_is_not_shrunk_are_refused():
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--shrink_batch_size=8"])
        with pytest.raises(flags.ValidationError, match="is of --shrink"):
            export_flags.export_from_flags()
