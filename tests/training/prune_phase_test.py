"""The rounds of a prune phase in several steps."""

import types

import pytest

from hydra_tf.training import prune_phase


def pruning(schedule, rounds=3):
    """Returns what the schedule of a multi-step method depends on."""
    return types.SimpleNamespace(density=0.1, schedule=schedule, rounds=rounds)


def densities(schedule, epochs):
    """Returns the density of each epoch that begins with a round."""
    found = {}
    for epoch in range(epochs):
        prunes, sparsity = schedule(epoch)
        if prunes:
            found[epoch] = 1 - float(sparsity)
    return found


def test_rounds_are_spread_over_the_phase_and_end_at_the_density():
    schedule = prune_phase.schedule(pruning("polynomial"), 7)
    found = densities(schedule, 7)
    assert list(found) == [0, 2, 4]
    assert found[4] == pytest.approx(0.1)
    assert sorted(found.values(), reverse=True) == list(found.values())
    # tfmot's cubic decay, from 1, after a third of the way.
    assert found[0] == pytest.approx(0.1 + 0.9 * (2 / 3) ** 3)


def test_constant_schedule_prunes_all_at_once_and_rounds_choose_anew():
    schedule = prune_phase.schedule(pruning("constant"), 3)
    assert densities(schedule, 3) == pytest.approx({0: 0.1, 1: 0.1, 2: 0.1})


def test_more_rounds_than_epochs_are_one_in_each():
    schedule = prune_phase.schedule(pruning("polynomial", rounds=10), 2)
    assert list(densities(schedule, 2)) == [0, 1]
