"""What workers compare with each other before they begin."""

from absl import flags
from absl.testing import flagsaver

import trainers.training.settings  # noqa: F401  Defines the flags.
from trainers.terminal import same


def test_flags_that_are_not_at_their_defaults_count():
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["pretrain"])
        before = same.flags_given()
        flags.FLAGS(["pretrain", "--seed=7", "--output_dir=there", "--nocache"])
        found = same.flags_given()
    assert before == {}
    assert found["--seed"] == "7"
    assert "--cache" in found
    # Where a worker writes is its own affair.
    assert "--output_dir" not in found


def test_code_and_versions_are_known():
    found = same.code()
    assert len(found["the code of hydra_tf"]) == 16
    assert {"Python", "tensorflow", "keras", "numpy"} <= found.keys()
    assert same.code() == found
