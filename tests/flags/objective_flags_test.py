"""Flags of the objective: plain values, defaults of the recipes."""

import pytest
from absl import flags
from absl.testing import flagsaver

from hydra_tf import objectives
from hydra_tf import schedules
from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import OBJECTIVES
from tests.flags.command_line import objective
from tests.flags.command_line import parse
from trainers.run.flagfile import as_flagfile


def test_every_objective_can_be_built():
    for name in OBJECTIVES.names:
        built = parse(f"--objective={name}", "--epsilon=1/4").objective
        assert isinstance(built, objectives.Objective)
        if name not in ("natural", "smoothing"):
            assert built.epsilon == 0.25


@pytest.mark.parametrize("name", OBJECTIVES.names)
def test_radius_of_verifiable_objectives_is_two_levels_unless_given(name):
    verifiable = name in ("ibp", "crown_ibp", "mixtrain")
    radius = 2 / 255 if verifiable else 8 / 255
    assert parse(f"--objective={name}").evaluation.epsilon == radius
    parsed = parse(f"--objective={name}", "--epsilon=0.3")
    assert parsed.attack["epsilon"] == parsed.evaluation.epsilon == 0.3


@pytest.mark.parametrize("name", ["epsilon", "eval_epsilon"])
def test_radius_in_levels_of_255_is_refused(name):
    with pytest.raises(flags.ValidationError, match=f"--{name}=8: .*8/255"):
        parse(f"--{name}=8")
    # An L2 ball of that radius is no mistake in images of many pixels.
    parse(f"--{name}=8", "--threat_model=l2")


def test_bounds_are_of_boxes():
    with pytest.raises(flags.ValidationError, match="--threat_model=linf"):
        parse("--objective=ibp", "--threat_model=l2")


def test_pretraining_may_have_an_objective_of_its_own():
    parsed = parse(
        "--objective=madry",
        "--pretrain_objective=trades",
        "--epsilon=0.2",
        "--beta=3",
        "--warm_start",
    )
    trades = parsed.objective_of("pretrain", 5)
    assert (type(trades).__name__, trades.beta) == ("TRADES", 3)
    assert trades.epsilon == 0.2
    assert type(parsed.objective_of("prune", 5)).__name__ == "Madry"
    assert parsed.objective_record("pretrain", 5)["objective"] == "trades"
    assert parsed.objective_record("finetune", 5)["objective"] == "madry"
    assert not parsed.attacks_of("pretrain").warm_start
    assert parsed.attacks_of("prune").warm_start


def test_bounds_are_needed_by_the_phases_that_train_on_them():
    parsed = parse("--objective=natural", "--pretrain_objective=ibp")
    assert parsed.bounds_needed_by(["prune"]) is None
    found = parsed.bounds_needed_by(["pretrain", "prune"])
    assert found == "--pretrain_objective=ibp"
    with pytest.raises(
        flags.ValidationError, match="--pretrain_objective=ibp: needs"
    ):
        parse("--pretrain_objective=ibp", "--threat_model=l2")


def test_settings_of_the_verifiable_objectives_arrive():
    built, _ = objective("--objective=crown_ibp", "--crown_weight=0.5")
    assert built.crown_weight == 0.5
    assert objective("--objective=crown_ibp")[0].crown_weight is None
    built, record = objective(
        "--objective=mixtrain",
        "--symbolic_weight=0.2",
        "--symbolic_probability=0.5",
        "--symbolic_examples=2",
        "--schedule_length=4",
    )
    assert (built.probability, built.num_examples) == (0.5, 2)
    assert isinstance(built.symbolic_weight, schedules.IntervalWeight)
    weights = [float(built.symbolic_weight(epoch)) for epoch in (0, 8, 9)]
    assert weights == pytest.approx([0.2, 0.2, 0.5])
    assert "beta" not in record and "num_steps" not in record


def test_settings_of_smoothing_arrive():
    built, record = objective(
        "--objective=smoothing", "--sigma=0.5", "--beta=2"
    )
    assert (built.sigma, built.beta, built.form) == (0.5, 2, "stability")
    assert record["beta"] == 2
    built, record = objective("--objective=smoothing", "--smoothing_form=noise")
    assert built.form == "noise"
    assert record["smoothing_form"] == "noise" and "epsilon" not in record


OWN = "tests.flags.objective_flags_test:Own"


class Own(objectives.Objective):
    """An objective that is no part of the library."""

    def __init__(self, epsilon=0.3, beta=2.0, share=0.5, power=1):
        self.epsilon = epsilon
        self.beta = beta
        self.share = share
        self.power = power


def test_objective_of_ones_own_has_its_own_defaults():
    parsed = parse(f"--objective={OWN}")
    assert parsed.objective.get_config() == {
        "epsilon": 0.3,
        "beta": 2.0,
        "share": 0.5,
        "power": 1,
    }
    # And so has the flagfile of its run, which names no others.
    assert parsed.evaluation.epsilon == 0.3
    assert parsed.objective_record("pretrain", 1) == {
        "objective": OWN,
        **parsed.objective.get_config(),
    }


def test_objective_of_ones_own_takes_flags_and_settings(tmp_path):
    arguments = (
        f"--objective={OWN}",
        "--epsilon=8/255",
        "--objective_settings=share=1/4, power=3",
    )
    path = tmp_path / "flags.txt"
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        path.write_text(as_flagfile("command"))
    for words in (arguments, [f"--flagfile={path}"]):
        built = parse(*words).objective
        assert (built.epsilon, built.beta) == (8 / 255, 2.0)
        assert (built.share, built.power) == (0.25, 3)


def test_settings_without_a_flag_can_be_given_to_any_objective():
    built = parse("--objective=ibp", "--objective_settings=clip=(0, 2)")
    assert built.objective.clip == (0, 2)


@pytest.mark.parametrize(
    "settings, words",
    [
        ("shaer=1", "has no setting 'shaer'. Did you mean 'share'"),
        ("share", "form name=value"),
        ("power=x", "`power` must be a whole number"),
    ],
)
def test_wrong_settings_of_an_objective_are_refused(settings, words):
    with pytest.raises(InputError, match=f"^--objective_settings=.*{words}"):
        parse(f"--objective={OWN}", f"--objective_settings={settings}")
