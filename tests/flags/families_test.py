"""The families' functions: flags to plain values, defaults of the recipes."""

import pytest
from absl import flags
from absl.testing import flagsaver

from hydra_tf import data
from hydra_tf import objectives
from hydra_tf import schedules
from hydra_tf.errors import InputError
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.objectives import OBJECTIVES
from trainers.run.flagfile import as_flagfile
from trainers.training import settings


def parse(*arguments):
    """Returns the settings that a command line stands for."""
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        return settings.from_flags()


def test_every_data_set_is_named_in_the_help():
    text = flags.FLAGS["dataset"].help
    assert all(name in text for name in data.names())


def test_step_sizes_follow_the_radius():
    parsed = parse("--epsilon=0.2")
    assert parsed.objective.step_size == pytest.approx(0.05)
    assert parsed.evaluation.epsilon == 0.2
    assert parsed.evaluation.attack_arguments["step_size"] == pytest.approx(
        0.05
    )
    parsed = parse("--epsilon=0.2", "--eval_epsilon=0.4", "--step_size=0")
    assert parsed.objective.step_size == 0
    assert parsed.evaluation.attack_arguments["step_size"] == pytest.approx(0.1)


def peaks(*arguments):
    """Returns the peak learning rate of each phase."""
    optimizers = parse(*arguments).optimizers
    return {phase: each.peak(phase) for phase, each in optimizers.items()}


def test_learning_rate_of_a_phase_comes_before_the_common_one():
    found = peaks("--learning_rate=0.5", "--prune_learning_rate=0.2")
    assert found == {"pretrain": 0.5, "prune": 0.2, "finetune": 0.5}


def test_adam_has_a_learning_rate_of_its_own():
    found = peaks("--optimizer=adam")
    assert found == pytest.approx(
        {"pretrain": 1e-3, "prune": 1e-3, "finetune": 1e-4}
    )


@pytest.mark.parametrize(
    "method, scores",
    [("hydra", "scaled"), ("random", "random"), ("snip", "snip")],
)
def test_method_implies_its_scores(method, scores):
    assert parse(f"--method={method}").pruning.scores == scores
    kept = parse(f"--method={method}", "--scores_init=xavier_normal").pruning
    assert kept.scores == "xavier_normal"
    assert kept.with_method("random").scores == "random"


def test_output_folder_is_required():
    with flagsaver.flagsaver():
        flags.FLAGS(["binary"])
        with pytest.raises(flags.ValidationError, match="--output_dir"):
            settings.from_flags()


def test_every_objective_can_be_built():
    for name in OBJECTIVES.names:
        built = parse(f"--objective={name}", "--epsilon=1/4").objective
        assert isinstance(built, objectives.Objective)
        if name not in ("natural", "smoothing"):
            assert built.epsilon == 0.25


def test_only_trained_methods_train():
    trained = {
        name
        for name in METHODS.names
        if parse(f"--method={name}").pruning.trains
    }
    assert trained == {"hydra", "harp", "lwm_multistep"}
    assert parse("--method=random", "--multistep").pruning.trains


def test_flagfile_gives_the_same_settings_again(tmp_path):
    arguments = [
        "--epsilon=8/255",
        "--noaugment",
        "--compare=lwm,random",
        "--overwrite",
        "--model=vgg16_bn",
    ]
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        first = settings.from_flags()
        path = tmp_path / "flags.txt"
        path.write_text(as_flagfile("command"))
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", f"--flagfile={path}"])
        again = settings.from_flags()
    assert first.run.overwrite and not again.run.overwrite
    for family in ("data", "model", "pruning", "epochs", "optimizers"):
        assert getattr(first, family) == getattr(again, family)
    assert repr(first.objective) == repr(again.objective)


@pytest.mark.parametrize("name", ["epsilon", "eval_epsilon"])
def test_radius_in_levels_of_255_is_refused(name):
    with pytest.raises(flags.ValidationError, match=f"--{name}=8: .*8/255"):
        parse(f"--{name}=8")
    # An L2 ball of that radius is no mistake in images of many pixels.
    parse(f"--{name}=8", "--threat_model=l2")


OWN = "tests.flags.families_test:Own"


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


def test_excluded_layers_are_names_separated_by_commas():
    assert parse("--exclude=stem,head").pruning.exclude == ("stem", "head")
    assert parse().pruning.exclude == ()


def objective(*arguments, phase="pretrain", epochs=10):
    """Returns a phase's objective and its record."""
    parsed = parse(*arguments)
    return (
        parsed.objective_of(phase, epochs),
        parsed.objective_record(phase, epochs),
    )


@pytest.mark.parametrize("name", OBJECTIVES.names)
def test_radius_of_verifiable_objectives_is_two_levels_unless_given(name):
    verifiable = name in ("ibp", "crown_ibp", "mixtrain")
    radius = 2 / 255 if verifiable else 8 / 255
    assert parse(f"--objective={name}").evaluation.epsilon == radius
    parsed = parse(f"--objective={name}", "--epsilon=0.3")
    assert parsed.attack["epsilon"] == parsed.evaluation.epsilon == 0.3


@pytest.mark.parametrize("ramp, at_2", [("linear", 0.05), ("smoothed", None)])
def test_radius_ramps_up_between_epochs_of_pretraining(ramp, at_2):
    built, record = objective(
        "--objective=ibp",
        "--epsilon=0.2",
        "--schedule_start=1",
        "--schedule_length=4",
        f"--ramp={ramp}",
    )
    radii = [float(built.epsilon(epoch)) for epoch in (0, 1, 2, 5, 9)]
    assert radii[:2] == [0, 0]
    assert radii[2] == pytest.approx(at_2) if at_2 else 0 < radii[2] < 0.05
    assert radii[3:] == pytest.approx([0.2, 0.2])
    assert record == {
        "objective": "ibp",
        "epsilon": 0.2,
        "ramp": ramp,
        "schedule_start": 1.0,
        "schedule_length": 4.0,
    }


@pytest.mark.parametrize("phase", ["prune", "finetune"])
def test_later_phases_start_at_the_full_radius_unless_told(phase):
    built, record = objective("--objective=crown_ibp", phase=phase)
    assert built.epsilon == 2 / 255
    assert record[f"{phase}_schedule_length"] == 0
    built, _ = objective(
        "--objective=crown_ibp", f"--{phase}_schedule_length=3", phase=phase
    )
    assert float(built.epsilon(1.5)) == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    "name, length", [("ibp", 6), ("crown_ibp", 6), ("mixtrain", 2.5)]
)
def test_ramp_takes_the_recipe_s_share_of_pretraining(name, length):
    built, record = objective(f"--objective={name}")
    assert record["schedule_length"] == pytest.approx(length)
    assert built.epsilon.end_epoch == pytest.approx(length)
    built, record = objective(f"--objective={name}", "--schedule_length=0")
    assert built.epsilon == 2 / 255


def test_ramp_longer_than_its_phase_is_refused():
    with pytest.raises(InputError, match="within the 10 epochs of"):
        objective("--objective=ibp", "--schedule_length=11")
    with pytest.raises(InputError, match="^--finetune_schedule_length=20: "):
        objective(
            "--objective=ibp", "--finetune_schedule_length=20", phase="finetune"
        )
    # Objectives without a ramp do not read it.
    objective("--objective=trades", "--schedule_length=11")


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


def test_bounds_are_of_boxes():
    with pytest.raises(flags.ValidationError, match="--threat_model=linf"):
        parse("--objective=ibp", "--threat_model=l2")


def test_no_proofs_are_no_proofs_in_the_flagfile_either(tmp_path):
    with flagsaver.flagsaver():
        flags.FLAGS(
            ["b", "--output_dir=x", "--objective=ibp", "--eval_certify="]
        )
        path = tmp_path / "flags.txt"
        path.write_text(as_flagfile("command"))
    parsed = parse(f"--flagfile={path}")
    assert parsed.evaluation.bounds == ()
    assert parsed.evaluation.smoothing is None
