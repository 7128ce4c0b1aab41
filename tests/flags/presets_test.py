"""Every preset, read with the real flags."""

import pathlib

import pytest
from absl import flags
from absl.testing import flagsaver

from hydra_tf import data
from hydra_tf import models
from hydra_tf import objectives
from trainers.training import settings

ROOT = pathlib.Path(__file__).parents[2]
PRESETS = sorted((ROOT / "flags" / "presets").glob("*.flags"))


def parse(arguments, monkeypatch):
    """Returns the settings that a command line stands for."""
    # Presets include each other from the root of the checkout.
    monkeypatch.chdir(ROOT)
    with flagsaver.flagsaver():
        rest = flags.FLAGS(["binary", *arguments])
        assert rest == ["binary"]
        return settings.from_flags()


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_parses_to_things_that_exist(preset, monkeypatch):
    parsed = parse([f"--flagfile={preset}", "--output_dir=x"], monkeypatch)
    assert parsed.data.dataset in data.names()
    if not preset.stem.startswith("common_"):
        assert parsed.model.model in models.names()
    for phase, epochs in parsed.pipeline.epochs.items():
        built = parsed.objective_of(phase, epochs).build()
        assert isinstance(built, objectives.Objective)


@pytest.mark.parametrize(
    "preset",
    [path for path in PRESETS if not path.stem.startswith("common_")],
    ids=lambda path: path.stem,
)
def test_preset_writes_to_a_folder_of_its_name(preset, monkeypatch):
    parsed = parse([f"--flagfile={preset}"], monkeypatch)
    assert parsed.run.output_dir == f"runs/{preset.stem}"


VERIFIABLE = [
    *(
        (dataset, f"{prefix}_model{suffix}")
        for dataset, prefix, suffixes in (
            ("cifar10", "cifar", ("", "_large", "_resnet")),
            ("svhn", "cifar", ("", "_large", "_resnet")),
            ("mnist", "mnist", ("", "_large")),
        )
        for suffix in suffixes
    )
]


@pytest.mark.parametrize("sparsity", [90, 95, 99])
@pytest.mark.parametrize("objective", ["crown_ibp", "mixtrain"])
@pytest.mark.parametrize("dataset, model", VERIFIABLE)
def test_verifiable_recipes_have_their_settings(
    dataset, model, objective, sparsity, monkeypatch
):
    name = f"{dataset}_{model}_{objective}_{sparsity}.flags"
    parsed = parse([f"--flagfile={ROOT / 'flags/presets' / name}"], monkeypatch)
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.model.model == model
    assert parsed.pruning.method == "hydra"
    assert parsed.pruning.density == pytest.approx(1 - sparsity / 100)
    assert parsed.objective.objective == objective
    assert parsed.objective.epsilon == parsed.evaluation.epsilon == 2 / 255
    assert parsed.training.optimizer == "adam"
    rates = [
        parsed.of_phase(phase).peak_learning_rate(phase)
        for phase in ("pretrain", "prune", "finetune")
    ]
    epochs = parsed.pipeline.epochs["pretrain"]
    ramp = parsed.objective_of("pretrain", epochs)
    later = parsed.objective_of("prune", parsed.pipeline.epochs["prune"])
    assert (ramp.ramp_start, later.ramp_end) == (0, 0)
    # The recipes of the text, section 4.
    if objective == "crown_ibp":
        assert rates == [1e-3, 1e-5, 1e-5]
        assert (epochs, ramp.ramp_end) == (200, 120)
        assert parsed.data.batch_size == 128
        return
    assert rates == [1e-3, 1e-5, 5e-4]
    assert (epochs, ramp.ramp_end) == (60, 15)
    assert parsed.data.batch_size == 50
    small = model in ("cifar_model", "mnist_model")
    assert parsed.objective.symbolic_examples == (5 if small else 1)


@pytest.mark.parametrize("sparsity", [90, 95, 99])
@pytest.mark.parametrize("model", ["vgg16_bn", "wrn_28_4"])
@pytest.mark.parametrize("dataset", ["cifar10", "svhn"])
def test_smoothing_recipes_have_their_settings(
    dataset, model, sparsity, monkeypatch
):
    name = f"{dataset}_{model}_smoothing_{sparsity}.flags"
    parsed = parse([f"--flagfile={ROOT / 'flags/presets' / name}"], monkeypatch)
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.model.model == model
    assert parsed.pruning.density == pytest.approx(1 - sparsity / 100)
    assert parsed.objective.build().get_config() == {
        "sigma": 0.25,
        "beta": 6.0,
        "form": "stability",
    }
    assert parsed.evaluation.certification.methods == ("smoothing",)
    assert parsed.evaluation.certification.sigma == 0.25


@pytest.mark.parametrize("dataset", ["cifar10", "svhn"])
@pytest.mark.parametrize("model", ["vgg16_bn", "wrn_28_4"])
@pytest.mark.parametrize("sparsity", [90, 95, 99])
def test_recipes_of_the_originals_have_their_settings(
    dataset, model, sparsity, monkeypatch
):
    name = f"{dataset}_{model}_trades_{sparsity}.flags"
    parsed = parse(
        [f"--flagfile={ROOT / 'flags/presets' / name}", "--output_dir=x"],
        monkeypatch,
    )
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.data.batch_size == 128
    assert parsed.model.model == model
    assert parsed.pruning.method == "hydra"
    assert parsed.pruning.density == pytest.approx(1 - sparsity / 100)
    # The table of section 3 of HYDRA's recipe.
    assert parsed.pipeline.epochs == {
        "pretrain": 100,
        "prune": 20,
        "finetune": 100,
    }
    rates = [
        parsed.of_phase(phase).peak_learning_rate(phase)
        for phase in ("pretrain", "prune", "finetune")
    ]
    assert rates == [0.1, 0.1, 0.01]
    assert parsed.objective.build().get_config() == {
        "epsilon": 8 / 255,
        "step_size": 2 / 255,
        "num_steps": 10,
        "threat_model": "linf",
        "beta": 6.0,
    }
    assert parsed.evaluation.attacks == ("pgd",)
    assert parsed.evaluation.num_steps == 50
    assert parsed.evaluation.num_restarts == 10


def harp_preset(name, monkeypatch):
    """Returns the settings of a preset, checked for HARP's recipe."""
    path = ROOT / "flags/presets" / f"{name}.flags"
    parsed = parse([f"--flagfile={path}"], monkeypatch)
    assert parsed.pruning.method == "harp"
    assert parsed.pruning.learns_densities
    assert parsed.pruning.learn == "both"
    # Densities start at the default, a tenth in every layer.
    assert parsed.pruning.rates is None
    assert parsed.pruning.compression_gamma == 0.01
    assert parsed.training.weight_decay == 5e-4
    assert parsed.data.batch_size == 128
    assert parsed.objective.epsilon == 8 / 255
    assert parsed.pipeline.epochs == {
        "pretrain": 100,
        "prune": 20,
        "finetune": 100,
    }
    return parsed


@pytest.mark.parametrize("sparsity", ["99", "99.9"])
@pytest.mark.parametrize(
    "objective, flag",
    [("pgd_at", "madry"), ("trades", "trades"), ("mart", "mart")],
)
@pytest.mark.parametrize("model", ["vgg16_bn", "resnet18"])
@pytest.mark.parametrize("dataset", ["cifar10", "svhn"])
def test_recipes_of_harp_have_their_settings(
    dataset, model, objective, flag, sparsity, monkeypatch
):
    name = f"{dataset}_{model}_{objective}_harp_{sparsity}"
    parsed = harp_preset(name, monkeypatch)
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.model.model == model
    assert parsed.objective.objective == flag
    assert parsed.pruning.granularity == "weight"
    assert parsed.pruning.compression_resource == "weights"
    assert parsed.pruning.density == pytest.approx(1 - float(sparsity) / 100)


@pytest.mark.parametrize("sparsity", [50, 75, 90])
@pytest.mark.parametrize("model", ["vgg16_bn", "resnet18"])
def test_recipes_of_harp_for_channels_have_their_settings(
    model, sparsity, monkeypatch
):
    name = f"cifar10_{model}_pgd_at_harp_channel_{sparsity}"
    parsed = harp_preset(name, monkeypatch)
    assert parsed.model.model == model
    assert parsed.pruning.granularity == "channel"
    assert parsed.pruning.compression_resource == "flops"
    assert parsed.pruning.density == pytest.approx(1 - sparsity / 100)


@pytest.mark.parametrize(
    "change",
    ["--method=harp", "--granularity=2:4", "--allocation=erk", "--multistep"],
)
def test_recipe_of_hydra_takes_another_way_to_prune(change, monkeypatch):
    preset = ROOT / "flags/presets/cifar10_vgg16_bn_trades_95.flags"
    extra = ["--density=1/2"] if "2:4" in change else []
    parsed = parse([f"--flagfile={preset}", change, *extra], monkeypatch)
    name, _, value = change.removeprefix("--").partition("=")
    assert getattr(parsed.pruning, name) == (value or True)


def test_flags_after_the_preset_win(monkeypatch):
    preset = ROOT / "flags/presets/digits_demo.flags"
    parsed = parse(
        [f"--flagfile={preset}", "--output_dir=x", "--density=0.5"],
        monkeypatch,
    )
    assert parsed.pruning.density == 0.5


def test_misspelt_flag_in_a_file_is_an_error(tmp_path, monkeypatch):
    preset = tmp_path / "recipe.flags"
    preset.write_text("--densty=0.1\n")
    with pytest.raises(flags.UnrecognizedFlagError, match="density"):
        parse([f"--flagfile={preset}"], monkeypatch)


@pytest.mark.parametrize("sparsity", ["99", "99.9"])
@pytest.mark.parametrize(
    "objective, flag",
    [("pgd_at", "madry"), ("trades", "trades"), ("mart", "mart")],
)
def test_recipes_of_harp_for_imagenet_have_their_settings(
    objective, flag, sparsity, monkeypatch
):
    name = f"imagenet_resnet50_{objective}_harp_{sparsity}.flags"
    parsed = parse([f"--flagfile={ROOT / 'flags/presets' / name}"], monkeypatch)
    assert parsed.pruning.method == "harp"
    assert parsed.pruning.compression_gamma == 0.1
    assert parsed.pruning.density == pytest.approx(1 - float(sparsity) / 100)
    assert parsed.objective.objective == flag
    assert parsed.objective.epsilon == parsed.evaluation.epsilon == 4 / 255
    assert parsed.objective.step_size == parsed.evaluation.step_size == 1 / 255
    assert parsed.evaluation.num_examples == 1000
    assert parsed.training.weight_decay == 5e-4
    assert parsed.of_phase("pretrain").peak_learning_rate("pretrain") == 0.1
    assert parsed.pipeline.epochs == {
        "pretrain": 90,
        "prune": 20,
        "finetune": 100,
    }
    assert parsed.data.dataset == "imagenet2012"
    assert parsed.data.batch_size == 256
    assert parsed.model.model == "resnet50_imagenet"
