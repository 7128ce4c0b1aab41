"""Tests of TensorFloat-32, which is off wherever bounds are computed."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf.bounds.rules import registration

X, Y = np.full((2, 3), 0.5, np.float32), np.array([0, 1])
BOX = X - 0.1, X + 0.1

is_on = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(autouse=True, params=[True, False])
def before(request):
    found = is_on()
    tf.config.experimental.enable_tensor_float_32_execution(request.param)
    yield request.param
    tf.config.experimental.enable_tensor_float_32_execution(found)


@pytest.fixture
def seen(monkeypatch):
    """Whether it was on, whenever the network below was computed with."""
    monkeypatch.setattr(registration, "_rules", dict(registration._rules))
    states = []

    @bounds.register_rule(Doubled)
    def _(layer):
        states.append(is_on())

        def function(x):
            states.append(is_on())
            return 2 * x

        return bounds.Linear(function, diagonal=True)

    return states


class Doubled(keras.layers.Layer):
    """A layer whose rule looks at the switch."""

    def call(self, inputs):
        return 2 * inputs


class Broken(Doubled):
    """A layer whose rule fails."""


def network(layer):
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, "relu"), layer]
    )


@pytest.mark.parametrize(
    "compute",
    [
        lambda model: bounds.interval(model, *BOX),
        lambda model: bounds.crown(model, *BOX),
        lambda model: bounds.crown(model, *BOX, None, "crown"),
        lambda model: bounds.crown_ibp(model, *BOX, return_intermediate=True),
        lambda model: bounds.symbolic_interval(model, *BOX),
        lambda model: bounds.margins(model, X, Y, 0.1),
        lambda model: bounds.certified(model, X, Y, 0.1),
        lambda model: bounds.BoundPropagation(model, *BOX).bound("best"),
        lambda model: bounds.BoundPropagation(model, *BOX).intermediate("ibp"),
    ],
)
def test_bounds_are_computed_at_full_precision(seen, before, compute):
    compute(network(Doubled()))
    assert len(seen) > 1 and not any(seen)
    assert is_on() == before


def test_the_switch_goes_back_after_errors(seen, before):
    @bounds.register_rule(Broken)
    def _(layer):
        seen.append(is_on())
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        bounds.crown(network(Broken()), *BOX)
    assert seen == [False]
    assert is_on() == before


def test_contexts_nest(before):
    with bounds.full_precision():
        with bounds.full_precision():
            assert not is_on()
        assert not is_on()
    assert is_on() == before


def test_a_context_of_another_thread_keeps_it_off(before):
    opened, closing = threading.Event(), threading.Event()

    def other():
        with bounds.full_precision():
            opened.set()
            closing.wait(10)
            states.append(is_on())

    states = []
    with bounds.full_precision():
        thread = threading.Thread(target=other)
        thread.start()
        assert opened.wait(10)
    assert not is_on()
    closing.set()
    thread.join()
    assert states == [False] and is_on() == before
