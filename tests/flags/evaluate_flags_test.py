"""Flags of the evaluation's own binary."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import evaluate_flags


@pytest.mark.parametrize("arguments", [[], ["--sanity"]])
def test_sanity_is_asked_for(arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["evaluate", *arguments])
        assert evaluate_flags.sanity_from_flags() == bool(arguments)
