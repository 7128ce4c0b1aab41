"""An optimiser by name: its learning rates, phase by phase."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.training.optimizer_settings import GivenOptimizer
from hydra_tf.training.optimizer_settings import OptimizerSettings


@pytest.mark.parametrize(
    "optimizer, rates",
    [("sgd", (0.1, 0.1, 0.01)), ("adam", (1e-3, 1e-3, 1e-4))],
)
def test_peak_is_the_recipe_s_unless_given(optimizer, rates):
    settings = OptimizerSettings(optimizer=optimizer)
    given = OptimizerSettings(optimizer=optimizer, learning_rate=0.5)
    for phase, rate in zip(
        ("pretrain", "prune", "finetune"), rates, strict=True
    ):
        assert settings.peak(phase) == pytest.approx(rate)
        assert given.peak(phase) == 0.5


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_rate_warms_up_and_falls(name):
    settings = OptimizerSettings(
        optimizer=name,
        learning_rate=0.2,
        lr_schedule="step",
        warmup_epochs=1,
        momentum=0.5,
        weight_decay=0.01,
    )
    optimizer = settings.make("prune", 5, 10)
    schedule = optimizer._learning_rate
    assert [schedule.at_epoch(epoch) for epoch in (0, 1, 4)] == pytest.approx(
        [0.02, 0.2, 0.02]
    )
    config = optimizer.get_config()
    assert config["weight_decay"] == 0.01
    assert config.get("momentum", 0.5) == 0.5


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_one_cycle_moves_at_every_step_of_every_optimizer(name):
    settings = OptimizerSettings(
        optimizer=name, learning_rate=0.5, lr_schedule="one_cycle"
    )
    optimizer = settings.make("prune", 2, 5)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    rates = []
    for _ in range(10):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([keras.ops.ones((1,))])
    # Of 10 steps the first 3 lead to the peak.
    assert max(rates) == rates[3] == 0.5
    assert rates[0] == pytest.approx(0.02)
    assert rates[:4] == sorted(rates[:4])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[-1] < 0.1
    assert float(optimizer.learning_rate) == 0


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_long_gradients_are_scaled_down_together(name):
    def step(clipping, factor=1.0):
        settings = OptimizerSettings(
            optimizer=name,
            learning_rate=1.0,
            lr_schedule="constant",
            gradient_clipping=clipping,
        )
        variables = [keras.Variable([0.0, 0.0]), keras.Variable([0.0])]
        optimizer = settings.make("pretrain", 1, 1)
        gradients = [factor * np.array([0.0, 3.0]), factor * np.array([4.0])]
        optimizer.apply(
            [tf.constant(g, tf.float32) for g in gradients], variables
        )
        return [float(v) for each in variables for v in keras.ops.unstack(each)]

    assert step(0) == step(5.0) == step(9.0)
    # Of norm 5.
    assert step(1.0) == pytest.approx(step(0, factor=0.2))


def test_rounds_have_a_rate_of_their_own_and_no_warm_up():
    settings = OptimizerSettings(learning_rate=0.01, warmup_epochs=3)
    rounds = settings.of_rounds(None)
    assert (rounds.peak("prune"), rounds.warmup_epochs) == (0.1, 0)
    assert settings.of_rounds(0.3).peak("prune") == 0.3


def test_warm_up_is_shorter_than_its_phase():
    with pytest.raises(InputError, match="`warmup_epochs`=3 must be less .* 3"):
        OptimizerSettings(warmup_epochs=3).check("prune", 3)
    OptimizerSettings(warmup_epochs=3).check("prune", 0)


def test_given_optimizer_is_copied_without_its_state():
    given = keras.optimizers.Adam(0.02)
    given.build([keras.Variable([1.0])])
    copy = GivenOptimizer(given).make("prune", 1, 1)
    assert copy is not given and not copy.built
    assert copy.get_config()["learning_rate"] == pytest.approx(0.02)
