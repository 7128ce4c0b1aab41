"""Rules of the recipes."""

import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.training import peak_learning_rate
from hydra_tf.training import ramp_of_phase


@pytest.mark.parametrize(
    ("optimizer", "phase", "rate"),
    [
        ("sgd", "pretrain", 0.1),
        ("sgd", "prune", 0.1),
        ("sgd", "finetune", 0.01),
        ("adam", "pretrain", 1e-3),
        ("rmsprop", "prune", 1e-3),
        ("adam", "finetune", 1e-4),
    ],
)
def test_finetuning_starts_at_a_tenth_of_the_rate(optimizer, phase, rate):
    assert peak_learning_rate(optimizer, phase) == rate


@pytest.mark.parametrize(
    ("name", "phase", "settings", "ramp"),
    [
        ("ibp", "pretrain", {}, (0.0, 60.0)),
        ("crown_ibp", "pretrain", {"start": 10.0}, (10.0, 64.0)),
        ("mixtrain", "pretrain", {}, (0.0, 25.0)),
        ("ibp", "pretrain", {"length": 0.0}, (0.0, 0.0)),
        ("ibp", "pretrain", {"start": 5.0, "length": 95.0}, (5.0, 100.0)),
        ("ibp", "prune", {}, (0.0, 0.0)),
        ("ibp", "finetune", {"length": 20.0}, (0.0, 20.0)),
        ("trades", "pretrain", {}, (0.0, 0.0)),
        ("trades", "pretrain", {"length": 200.0}, (0.0, 0.0)),
    ],
)
def test_the_radius_of_pretraining_grows(name, phase, settings, ramp):
    for objective in (OBJECTIVES.entry(name), ht.objectives.create(name)):
        assert ramp_of_phase(objective, phase, 100, **settings) == ramp


def test_a_schedule_of_ones_own_has_no_second_ramp():
    objective = ht.objectives.IBP(epsilon=0.1).with_ramp(2, 7)
    assert ramp_of_phase(objective, "pretrain", 100) == (0.0, 0.0)


def test_a_child_class_has_the_ramp_of_its_parent():
    class Child(ht.objectives.CROWNIBP):
        pass

    class Own(ht.objectives.VerifiableObjective):
        ramp_share = 0.5

    assert ramp_of_phase(Child(), "pretrain", 100) == (0.0, 60.0)
    assert ramp_of_phase(Own(), "pretrain", 100) == (0.0, 50.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ramp_of_phase(
                ht.objectives.IBP(), "pretrain", 10, start=4, length=7
            ),
            "within the 10 epochs of the pretrain phase.*start=4, length=7",
        ),
        (
            lambda: ramp_of_phase(ht.objectives.IBP(), "training", 10),
            "`phase` must be one of",
        ),
        (lambda: peak_learning_rate("adamw", "prune"), "Did you mean 'adam'"),
    ],
    ids=["ramp", "phase", "optimizer"],
)
def test_mistakes_get_one_clear_line(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
