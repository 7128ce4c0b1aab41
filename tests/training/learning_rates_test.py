"""Tests for hydra_tf.training.learning_rates."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.training import learning_rates
from hydra_tf.training import optimizers
from tests import golden

cases = pytest.mark.parametrize("case", [0, 1])


def rates(case, rule, steps_per_epoch=3):
    """Returns the settings of a golden case and our rate per epoch."""
    values = golden.load("schedules")
    base, epochs, warmup, warmup_rate = values[f"lr{case}_config"]
    schedule = rule(base, epochs, steps_per_epoch, warmup, warmup_rate)
    total = int(epochs + warmup)
    return (
        values,
        int(warmup),
        np.array([schedule.at_epoch(epoch) for epoch in range(total)]),
    )


@cases
def test_cosine_is_the_original_one_epoch_later(case):
    # The originals evaluate the cosine at e - 1, we at e.
    values, warmup, ours = rates(case, learning_rates.CosineRate)
    theirs = values[f"lr{case}_hydra_cosine"]
    np.testing.assert_allclose(ours[warmup:-1], theirs[warmup + 1 :], rtol=1e-6)
    np.testing.assert_allclose(ours[:warmup], theirs[:warmup], rtol=1e-6)


@cases
def test_step_equals_the_original_with_its_warmup(case):
    values, _, ours = rates(case, learning_rates.StepRate)
    np.testing.assert_allclose(ours, values[f"lr{case}_harp_step"], rtol=1e-6)


@cases
def test_step_equals_the_other_original_after_warmup(case):
    values, warmup, ours = rates(case, learning_rates.StepRate)
    theirs = values[f"lr{case}_hydra_step"]
    np.testing.assert_allclose(ours[warmup:], theirs[warmup:], rtol=1e-6)


@cases
def test_constant_equals_the_original(case):
    values, _, ours = rates(case, learning_rates.ConstantRate)
    np.testing.assert_allclose(
        ours, values[f"lr{case}_hydra_constant"], rtol=1e-6
    )


def test_cosine_starts_at_the_base_rate_and_ends_at_zero():
    schedule = learning_rates.CosineRate(0.2, epochs=5, steps_per_epoch=2)
    assert schedule.at_epoch(0) == np.float32(0.2)
    assert schedule.at_epoch(4) > 0
    assert schedule.at_epoch(5) == schedule.at_epoch(50) == 0


@pytest.mark.parametrize("epochs", range(1, 121))
def test_step_drops_in_the_right_epoch(epochs):
    # By integers: 0.75 E, 0.9 E and E rounded up to whole epochs.
    factor = learning_rates.StepRate(1.0, epochs, 1).factor
    drops = [-(-3 * epochs // 4), -(-9 * epochs // 10), epochs]
    for epoch in {each + shift for each in drops for shift in (-1, 0)}:
        expected = 0.1 ** sum(epoch >= drop for drop in drops)
        found = factor(tf.constant(epoch, tf.float64))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_rate_is_constant_within_an_epoch():
    schedule = learning_rates.CosineRate(0.1, epochs=4, steps_per_epoch=7)
    found = [float(schedule(step)) for step in range(28)]
    assert found == [schedule.at_epoch(step // 7) for step in range(28)]
    assert len(set(found)) == 4


def test_warmup_without_a_rate_uses_the_base_rate():
    schedule = learning_rates.CosineRate(0.1, 4, 1, warmup_epochs=2)
    found = [schedule.at_epoch(epoch) for epoch in range(4)]
    assert found[:3] == [np.float32(0.1)] * 3
    assert found[3] < found[2]


def test_fractional_epochs_are_allowed():
    schedule = learning_rates.StepRate(1.0, 0.5, 10, 0.5, 0.25)
    assert schedule.at_epoch(0) == 0.25
    np.testing.assert_allclose(schedule.at_epoch(1), 1e-3, rtol=1e-6)


def test_one_cycle_rises_for_three_tenths_of_the_steps_and_falls_to_0():
    schedule = learning_rates.OneCycleRate(0.5, epochs=4, steps_per_epoch=5)
    found = [float(schedule(step)) for step in range(25)]
    # By hand: 20 steps, from 0.5 / 25 to 0.5 in 6 of them, to 0 in 14.
    rising = np.linspace(0.02, 0.5, 7)
    falling = np.linspace(0.5, 0.0, 15)
    expected = [*rising, *falling[1:], 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_one_cycle_begins_after_the_warmup():
    plain = learning_rates.OneCycleRate(0.5, 4, 5)
    later = learning_rates.OneCycleRate(0.5, 4, 5, 2, 0.125)
    assert [float(later(step)) for step in (0, 9)] == [0.125, 0.125]
    assert [float(later(10 + step)) for step in range(20)] == [
        float(plain(step)) for step in range(20)
    ]


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle", "step"])
def test_a_schedule_drives_an_optimizer_through_its_file(name, tmp_path):
    schedule = learning_rates.learning_rate(name, 0.5, 4, 2, 1, 0.125)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizers.SGD(schedule), "mse")
    data = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    model.fit(*data, batch_size=2, verbose=0)
    model.save(tmp_path / "m.keras")
    optimizer = keras.saving.load_model(tmp_path / "m.keras").optimizer
    assert int(optimizer.iterations) == 4
    assert float(optimizer.learning_rate) == schedule.at_epoch(2)
    config = keras.saving.serialize_keras_object(schedule)
    assert config["registered_name"].startswith("hydra_tf>")
    twin = keras.saving.deserialize_keras_object(config)
    assert twin.get_config() == schedule.get_config()


def test_compiled_and_eager_rates_agree():
    schedule = learning_rates.StepRate(0.1, 8, 3, 1, 0.01)
    compiled = tf.function(schedule)
    for step in range(30):
        assert float(compiled(tf.constant(step))) == float(schedule(step))


def test_an_unknown_rule_is_answered_with_the_close_ones():
    with pytest.raises(InputError, match="Did you mean 'cosine'"):
        learning_rates.learning_rate("cosin", 0.1, 1, 1)


@pytest.mark.parametrize(
    "argument, value",
    [
        ("base_rate", 0.0),
        ("epochs", -1),
        ("steps_per_epoch", 0),
        ("steps_per_epoch", 1.5),
        ("warmup_epochs", -1),
        ("warmup_rate", float("nan")),
    ],
)
def test_an_argument_out_of_range_is_named(argument, value):
    settings = {"base_rate": 0.1, "epochs": 1, "steps_per_epoch": 1}
    with pytest.raises(InputError, match=f"`{argument}` must be"):
        learning_rates.CosineRate(**{**settings, argument: value})
