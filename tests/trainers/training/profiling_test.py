"""A profile is taken of the steps asked for, once."""

from __future__ import annotations

import pathlib

import keras
import numpy as np
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
    calls = []
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=per_call)

    def note(name):
        calls.append((name, int(model.optimizer.iterations)))

    monkeypatch.setattr(
        tf.profiler.experimental, "start", lambda folder: note("start")
    )
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: note("stop"))
    data = tf.data.Dataset.from_tensor_slices(
        (np.zeros((8, 2)), np.zeros((8, 1)))
    ).batch(2)
    model.fit(
        data,
        epochs=2,
        verbose=0,
        callbacks=[ProfileSteps(pathlib.Path("events"), *steps)],
    )
    assert calls == expected
