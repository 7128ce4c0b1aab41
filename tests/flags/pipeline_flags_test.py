"""Flags of the pipeline's phases."""

from tests.flags.command_line import parse


def test_each_phase_has_its_epochs():
    assert parse("--prune_epochs=3", "--finetune_epochs=0").epochs == {
        "pretrain": 100,
        "prune": 3,
        "finetune": 0,
    }
