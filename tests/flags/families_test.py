"""The families' functions: flags to plain values, defaults of the recipes."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import attack_flags
from flags import objective_flags
from flags import pruning_flags
from hydra_tf import data
from hydra_tf import objectives
from hydra_tf.attacks import cleverhans_bridge
from trainers import settings


def parse(*arguments):
    """Returns the settings that a command line stands for."""
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", "--output_dir=x", *arguments])
        return settings.from_flags()


def test_choices_are_the_library_s():
    assert sorted(objective_flags.OBJECTIVES) == sorted(objectives.names())
    bridged = {
        name.removeprefix("cleverhans_")
        for name in attack_flags.ATTACKS
        if name.startswith("cleverhans_")
    }
    assert bridged == set(cleverhans_bridge.names())


def test_every_data_set_is_named_in_the_help():
    text = flags.FLAGS["dataset"].help
    assert all(name in text for name in data.names())


def test_step_sizes_follow_the_radius():
    parsed = parse("--epsilon=0.2")
    assert parsed.objective.step_size == pytest.approx(0.05)
    assert parsed.evaluation.epsilon == 0.2
    assert parsed.evaluation.step_size == pytest.approx(0.05)
    parsed = parse("--epsilon=0.2", "--eval_epsilon=0.4", "--step_size=0")
    assert parsed.objective.step_size == 0
    assert parsed.evaluation.step_size == pytest.approx(0.1)


def test_learning_rate_of_a_phase_comes_before_the_common_one():
    parsed = parse("--learning_rate=0.5", "--prune_learning_rate=0.2")
    assert parsed.of_phase("pretrain").peak_learning_rate("pretrain") == 0.5
    assert parsed.of_phase("prune").peak_learning_rate("prune") == 0.2


def test_adam_has_a_learning_rate_of_its_own():
    parsed = parse("--optimizer=adam")
    assert parsed.of_phase("prune").peak_learning_rate("prune") == 1e-3
    rate = parsed.of_phase("finetune").peak_learning_rate("finetune")
    assert rate == pytest.approx(1e-4)


@pytest.mark.parametrize(
    "method, scores",
    [("hydra", "scaled"), ("random", "random"), ("snip", "snip")],
)
def test_method_implies_its_scores(method, scores):
    assert parse(f"--method={method}").pruning.scores_init == scores
    kept = parse(f"--method={method}", "--scores_init=xavier_normal").pruning
    assert kept.scores_init == "xavier_normal"
    assert kept.with_method("random").scores_init == "random"


def test_attack_of_the_other_norm_is_refused():
    with pytest.raises(flags.ValidationError, match="--threat_model=l2"):
        parse("--eval_attacks=pgd,cleverhans_cw_l2")
    with pytest.raises(flags.ValidationError, match="--threat_model=linf"):
        parse("--eval_attacks=cleverhans_spsa", "--threat_model=l2")


def test_output_folder_is_required():
    with flagsaver.flagsaver():
        flags.FLAGS(["binary"])
        with pytest.raises(flags.ValidationError, match="--output_dir"):
            settings.from_flags()


def test_every_objective_can_be_built():
    for name in objective_flags.OBJECTIVES:
        built = parse(f"--objective={name}", "--epsilon=1/4").objective.build()
        assert isinstance(built, objectives.Objective)
        if name != "natural":
            assert built.epsilon == 0.25


def test_only_trained_methods_train():
    trained = {
        m
        for m in pruning_flags.METHODS
        if parse(f"--method={m}").pruning.trains
    }
    assert trained == {"hydra", "lwm_multistep"}


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
        path.write_text(settings.as_flagfile("command"))
    with flagsaver.flagsaver():
        flags.FLAGS(["binary", f"--flagfile={path}"])
        again = settings.from_flags()
    assert first.run.overwrite and not again.run.overwrite
    for family in ("data", "model", "objective", "pruning", "pipeline"):
        assert getattr(first, family) == getattr(again, family)


@pytest.mark.parametrize("name", ["epsilon", "eval_epsilon"])
def test_radius_in_levels_of_255_is_refused(name):
    with pytest.raises(flags.ValidationError, match=f"--{name}=8: .*8/255"):
        parse(f"--{name}=8")
    # An L2 ball of that radius is no mistake in images of many pixels.
    parse(f"--{name}=8", "--threat_model=l2")


def test_excluded_layers_are_names_separated_by_commas():
    assert parse("--exclude=stem,head").pruning.exclude == ("stem", "head")
    assert parse().pruning.exclude == ()
