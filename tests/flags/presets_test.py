"""Every preset, read with the real flags."""

import pathlib

import pytest
from absl import flags
from absl.testing import flagsaver

from hydra_tf import data
from hydra_tf import models
from hydra_tf import objectives
from trainers import settings

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
