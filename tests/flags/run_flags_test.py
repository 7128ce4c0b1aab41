"""Flags of a run."""

import pytest
from absl import flags
from absl.testing import flagsaver

from trainers.training import settings


def test_output_folder_is_required():
    with flagsaver.flagsaver():
        flags.FLAGS(["binary"])
        with pytest.raises(flags.ValidationError, match="--output_dir"):
            settings.from_flags()
