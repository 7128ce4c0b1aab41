"""A profile is taken of the steps asked for, once."""

from __future__ import annotations

import pathlib
import types

import pytest
import tensorflow as tf

from trainers.training.profiling import ProfileSteps


@pytest.mark.parametrize(
    ("steps", "per_call", "expected"),
    [
        ((2, 3), 1, [("start", 1), ("stop", 3)]),
        # In the second epoch of four steps.
        ((6, 7), 1, [("start", 5), ("stop", 7)]),
        ((3, 3), 2, [("start", 2), ("stop", 4)]),
        # Training ends before.
        ((8, 99), 1, [("start", 7), ("stop", 8)]),
        ((9, 99), 1, []),
    ],
)
def test_profile_is_of_the_steps(steps, per_call, expected, monkeypatch):
    calls, done = [], 0

    def note(name):
        calls.append((name, done))

    monkeypatch.setattr(
        tf.profiler.experimental, "start", lambda folder: note("start")
    )
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: note("stop"))
    profile = ProfileSteps(pathlib.Path("events"), *steps)
    profile.set_model(types.SimpleNamespace(steps_per_execution=per_call))
    # As `fit` calls it, in two epochs of four steps.
    for epoch in range(2):
        for batch in range(0, 4, per_call):
            profile.on_train_batch_begin(batch)
            done += per_call
            profile.on_train_batch_end(batch + per_call - 1)
        profile.on_epoch_end(epoch)
    profile.on_train_end()
    assert calls == expected
