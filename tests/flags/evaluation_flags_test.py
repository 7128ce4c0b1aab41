"""The flags of the evaluation, and the library's settings they stand for."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import evaluation_flags
from hydra_tf.errors import InputError
from tests.flags.command_line import parse
from trainers.run.flagfile import as_flagfile


def evaluation(*arguments, **inputs):
    """Returns the settings that a command line stands for."""
    given = {
        "objective": "trades",
        "epsilon": 0.2,
        "threat_model": "linf",
        "sigma": 0.5,
        "seed": 3,
    }
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", *arguments])
        return evaluation_flags.evaluation_from_flags(**given | inputs)


def test_radius_is_that_of_training_unless_given():
    settings = evaluation()
    assert (settings.epsilon, settings.seed) == (0.2, 3)
    assert settings.attack_arguments["step_size"] == pytest.approx(0.05)
    settings = evaluation("--eval_epsilon=0.4")
    assert settings.epsilon == 0.4
    assert settings.attack_arguments["step_size"] == pytest.approx(0.1)
    assert evaluation("--eval_epsilon=0").epsilon == 0


def test_flags_reach_their_fields():
    settings = evaluation(
        "--eval_attacks=pgd,fgsm",
        "--eval_step_size=2/255",
        "--eval_num_steps=7",
        "--eval_num_restarts=2",
        "--eval_batch_size=5",
    )
    assert settings.attacks == ("pgd", "fgsm")
    assert settings.step_size == 2 / 255
    assert (settings.num_steps, settings.num_restarts) == (7, 2)
    assert settings.batch_size == 5


@pytest.mark.parametrize(
    "objective, arguments, bounds, smooths",
    [
        ("trades", [], (), False),
        ("crown_ibp", [], ("ibp", "crown_ibp"), False),
        ("mixtrain", [], ("symbolic",), False),
        ("smoothing", [], (), True),
        ("ibp", ["--eval_certify="], (), False),
        ("ibp", ["--eval_certify=best,smoothing"], ("best",), True),
    ],
)
def test_proofs_follow_the_objective(objective, arguments, bounds, smooths):
    settings = evaluation(*arguments, objective=objective)
    assert settings.bounds == bounds
    assert (settings.smoothing is not None) == smooths


def test_smoothing_certifies_under_the_noise_of_training():
    smoothing = evaluation(
        "--eval_certify=smoothing",
        "--eval_radii=0.5,0.1",
        "--eval_smoothing_samples=50",
    ).smoothing
    assert (smoothing.sigma, smoothing.num_samples) == (0.5, 50)
    assert smoothing.radii == (0.1, 0.5)


@pytest.mark.parametrize(
    "argument, threat_model, words",
    [
        ("--eval_attacks=pgd,cleverhans_cw_l2", "linf", "`threat_model`=l2"),
        ("--eval_attacks=cleverhans_spsa", "l2", "`threat_model`=linf"),
        ("--eval_certify=ibp", "l2", "`bounds`=ibp needs `threat_model`=linf"),
        ("--eval_attacks=no_module:attack", "linf", "cannot be imported"),
    ],
)
def test_what_cannot_be_measured_is_refused(argument, threat_model, words):
    with pytest.raises(InputError, match=words):
        evaluation(argument, threat_model=threat_model)


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--eval_attacks=pdg", "Did you mean 'pgd'"),
        ("--eval_certify=crown-ibp", "Did you mean 'crown_ibp'"),
        ("--eval_num_steps=0", ">= 1"),
        ("--eval_epsilon=-0.1", ">= 0"),
        ("--eval_radii=-1", ">= 0"),
    ],
)
def test_wrong_value_is_refused_at_once(argument, words):
    with pytest.raises(flags.IllegalFlagValueError, match=words):
        evaluation(argument)


def test_radius_in_levels_of_255_is_refused():
    with pytest.raises(flags.ValidationError, match="--eval_epsilon=8: .*8/25"):
        evaluation("--eval_epsilon=8")
    # An L2 ball of that radius is no mistake in images of many pixels.
    evaluation("--eval_epsilon=8", threat_model="l2")


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
