"""Objectives by name, those from outside the library included."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import OBJECTIVES


class Squares(ht.objectives.Objective):
    """Mean squared logits of the images."""

    def __init__(self, weight=1.0):
        self.weight = weight

    def loss(self, model, x, y, perturbed, training=True):
        return self.weight * tf.reduce_mean(model(x, training=training) ** 2)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    ht.objectives.register("squares")(Squares)


def test_names_are_those_of_the_table():
    assert ht.objectives.names() == sorted(OBJECTIVES.names)


def test_create_passes_settings_on():
    assert ht.objectives.create("trades", beta=3.0).beta == 3.0


def test_unknown_names_show_the_close_match():
    with pytest.raises(InputError, match="Did you mean 'trades'"):
        ht.objectives.create("trade")
    with pytest.raises(InputError, match="Did you mean 'epsilon'"):
        ht.objectives.create("trades", epsilonn=0.1)
    with pytest.raises(InputError, match="Choose from: clip"):
        ht.objectives.create("natural", epsilon=0.1)
    with pytest.raises(InputError, match="has no setting 'beta'"):
        ht.objectives.create("ibp", beta=1.0)


@pytest.mark.parametrize("name", ["squares", f"{__name__}:Squares"])
def test_ones_own_objective_trains_by_its_name(name, registered):
    objective = ht.objectives.create(name, weight=0.5)
    assert isinstance(objective, Squares) and objective.weight == 0.5
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    robust = ht.RobustModel(network, objective)
    robust.compile("sgd")
    x = np.ones((6, 4), np.float32)
    losses = [robust.train_on_batch(x, np.zeros(6))[0] for _ in range(3)]
    assert losses[-1] < losses[0]


def test_a_registered_objective_is_listed(registered):
    assert "squares" in ht.objectives.names()
    entry = OBJECTIVES.entry("squares")
    assert entry.help == "Mean squared logits of the images."
    assert [setting.name for setting in entry.settings] == ["weight"]
    assert OBJECTIVES.entry_of(Squares) is entry


def test_what_is_no_objective_is_refused():
    with pytest.raises(InputError, match="must be a subclass of"):
        ht.objectives.create("keras:Model")


class Forgetful(ht.objectives.Objective):
    """An objective that keeps its argument under another name."""

    def __init__(self, weight):
        self.factor = weight


def test_arguments_that_are_missing_or_not_kept_are_named():
    name = f"{__name__}:Forgetful"
    with pytest.raises(InputError, match="missing a required argument: 'weigh"):
        ht.objectives.create(name)
    with pytest.raises(InputError, match="must keep its argument 'weight'"):
        ht.objectives.create(name, weight=1).get_config()
