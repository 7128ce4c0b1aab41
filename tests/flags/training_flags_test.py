"""Flags of the optimiser."""

import pytest

from tests.flags.command_line import parse


def peaks(*arguments):
    """Returns the peak learning rate of each phase."""
    optimizers = parse(*arguments).optimizers
    return {phase: each.peak(phase) for phase, each in optimizers.items()}


def test_learning_rate_of_a_phase_comes_before_the_common_one():
    found = peaks("--learning_rate=0.5", "--prune_learning_rate=0.2")
    assert found == {"pretrain": 0.5, "prune": 0.2, "finetune": 0.5}


def test_adam_has_a_learning_rate_of_its_own():
    found = peaks("--optimizer=adam")
    assert found == pytest.approx(
        {"pretrain": 1e-3, "prune": 1e-3, "finetune": 1e-4}
    )
