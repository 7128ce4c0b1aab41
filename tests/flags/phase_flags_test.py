"""The epochs of a phase that runs alone."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import phase_flags


@pytest.mark.parametrize(
    ("arguments", "epochs"), [([], 7), (["--epochs=3"], 3), (["--epochs=0"], 0)]
)
def test_epochs_are_the_pipeline_s_unless_given(arguments, epochs):
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", *arguments])
        assert phase_flags.epochs_from_flags("prune", {"prune": 7}) == epochs
