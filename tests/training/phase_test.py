"""What a phase is: what it trains, what determines its result."""

import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError

OBJECTIVE = ht.objectives.Natural()


@pytest.mark.parametrize(
    ("name", "epochs", "pruning", "learns", "rounds"),
    [
        ("prune", 2, ht.Pruning(method="harp"), True, False),
        ("prune", 2, ht.Pruning(method="harp", multistep=True), False, True),
        ("prune", 0, ht.Pruning(multistep=True), False, False),
        ("prune", 2, ht.Pruning(), False, False),
        ("prune", 2, None, False, False),
        ("finetune", 2, ht.Pruning(method="harp"), False, False),
    ],
)
def test_phase_knows_what_it_needs(name, epochs, pruning, learns, rounds):
    phase = ht.training.Phase(
        name=name, epochs=epochs, objective=OBJECTIVE, pruning=pruning
    )
    assert (phase.learns_densities, phase.multistep) == (learns, rounds)


def test_record_holds_what_determines_the_result():
    phase = ht.training.Phase(
        name="finetune",
        epochs=2,
        objective=OBJECTIVE,
        seed=3,
        settings={"dataset": "digits"},
    )
    record = phase.record()
    assert record["objective"] == "Natural"
    assert record["learning_rate"] == 0.01
    assert record["seed"] == 3
    assert record["dataset"] == "digits"


@pytest.mark.parametrize(
    ("method", "settings", "decides"),
    [
        ("hydra", {}, False),
        ("hydra", {"select": "best"}, True),
        ("harp", {}, True),
        ("flying_bird_plus", {}, True),
    ],
)
def test_validation_attack_is_recorded_where_it_decides_something(
    method, settings, decides
):
    phase = ht.training.Phase(
        name="prune",
        epochs=2,
        objective=OBJECTIVE,
        pruning=ht.Pruning(method=method),
        **settings,
    )
    assert ("validation_attack" in phase.record()) == decides


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "train"}, "must be one of pretrain"),
        ({"epochs": -1}, "`epochs` must be a whole number"),
        ({"precision": "float8"}, "`precision` must be one of"),
        (
            {"optimizer": ht.training.OptimizerSettings(warmup_epochs=2)},
            "`warmup_epochs`=2 must be less",
        ),
    ],
)
def test_wrong_settings_are_named(arguments, words):
    arguments = {
        "name": "prune",
        "epochs": 2,
        "objective": OBJECTIVE,
        **arguments,
    }
    with pytest.raises(InputError, match=words):
        ht.training.Phase(**arguments)
