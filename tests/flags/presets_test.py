"""Every recipe, read with the real flags."""

import pytest
from absl import flags
from absl.testing import flagsaver

from flags import preset_flags
from flags import sweep_flags  # noqa: F401  A recipe has a grid.
from hydra_tf import data
from hydra_tf import models
from hydra_tf import objectives
from trainers.training import settings

PRESETS = preset_flags.names()
PHASES = ("pretrain", "prune", "finetune")


def parse(*arguments):
    """Returns the settings that a command line stands for."""
    with flagsaver.flagsaver():
        rest = flags.FLAGS(["binary", *preset_flags.expand(arguments)])
        assert rest == ["binary"]
        return settings.from_flags()


def densities(name):
    """The published densities of a recipe, by its header."""
    line = (preset_flags.PRESETS / f"{name}.flags").read_text().split("\n")[2]
    return [float(text) for text in line.split(": ")[1].split(", ")]


def rates(parsed):
    return tuple(parsed.optimizers[phase].peak(phase) for phase in PHASES)


def epochs(parsed):
    return tuple(parsed.epochs[phase] for phase in PHASES)


@pytest.mark.parametrize("name", PRESETS)
def test_recipe_is_of_things_that_exist(name, tmp_path, monkeypatch):
    # From anywhere.
    monkeypatch.chdir(tmp_path)
    parsed = parse(f"--preset={name}")
    assert parsed.data.dataset in data.names()
    assert parsed.model.model in models.names()
    assert parsed.run.output_dir == f"runs/{name}"
    assert parsed.pruning.density == densities(name)[0]
    for phase, count in parsed.epochs.items():
        built = parsed.objective_of(phase, count)
        assert isinstance(built, objectives.Objective)


@pytest.mark.parametrize("name", PRESETS)
def test_recipe_says_where_it_is_from(name):
    title, source, published, *_ = (
        (preset_flags.PRESETS / f"{name}.flags").read_text().split("\n")
    )
    assert title.startswith("# ") and title.endswith(".")
    assert source.startswith("# source: ")
    assert published.startswith("# densities: ")


def test_published_recipes_are_all_there():
    counts = {}
    for name in PRESETS:
        family = name.rpartition("/")[0]
        counts[family] = counts.get(family, 0) + 1
    assert counts == {
        # digits_demo, _certified, _fast, _harp, _scratch_ticket, _subnetwork
        # and _sweep, cifar10_fast and _smoke.
        "": 9,
        # 8 pairs of data set and network, CROWN-IBP and MixTrain.
        "certified": 16,
        "compact": 1,
        # Weights of 1x1 convolutions, and channels.
        "deployment": 2,
        # PGD training, TRADES and MART: 2 data sets with 2 networks each, and
        # ImageNet; channels of 2 networks.
        "harp": 17,
        # TRADES and PGD training, 2 data sets, 2 networks; LWM; sub-networks;
        # Free-AT on ImageNet; extra images for 2 networks.
        "hydra": 13,
        "smoothing": 4,
        # TRADES and PGD training.
        "vit": 2,
    }


VERIFIABLE = [
    (dataset, f"{prefix}_model{suffix}")
    for dataset, prefix, suffixes in (
        ("cifar10", "cifar", ("", "_large", "_resnet")),
        ("svhn", "cifar", ("", "_large", "_resnet")),
        ("mnist", "mnist", ("", "_large")),
    )
    for suffix in suffixes
]


@pytest.mark.parametrize("objective", ["crown_ibp", "mixtrain"])
@pytest.mark.parametrize("dataset, model", VERIFIABLE)
def test_verifiable_recipes_have_their_settings(dataset, model, objective):
    name = f"certified/{dataset}_{model}_{objective}"
    parsed = parse(f"--preset={name}")
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.model.model == model
    assert parsed.pruning.method == "hydra"
    assert densities(name) == [0.1, 0.05, 0.01]
    assert parsed.objective_entry("prune").name == objective
    assert parsed.objective.epsilon == parsed.evaluation.epsilon == 2 / 255
    assert parsed.optimizers["prune"].optimizer == "adam"
    pretrain = parsed.epochs["pretrain"]
    ramp = parsed.objective_of("pretrain", pretrain).epsilon
    assert ramp.start_epoch == 0
    later = parsed.objective_of("prune", parsed.epochs["prune"])
    assert later.epsilon == 2 / 255
    # The recipes of the text, section 4.
    if objective == "crown_ibp":
        assert rates(parsed) == (1e-3, 1e-5, 1e-5)
        assert (pretrain, ramp.end_epoch) == (200, 120)
        assert parsed.data.batch_size == 128
        return
    assert rates(parsed) == (1e-3, 1e-5, 5e-4)
    assert (pretrain, ramp.end_epoch) == (60, 15)
    assert parsed.data.batch_size == 50
    small = model in ("cifar_model", "mnist_model")
    assert parsed.objective.num_examples == (5 if small else 1)


@pytest.mark.parametrize("model", ["vgg16_bn", "wrn_28_4"])
@pytest.mark.parametrize("dataset", ["cifar10", "svhn"])
def test_smoothing_recipes_have_their_settings(dataset, model):
    name = f"smoothing/{dataset}_{model}"
    parsed = parse(f"--preset={name}")
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.model.model == model
    assert densities(name) == [0.1, 0.05, 0.01]
    assert parsed.objective.get_config() == {
        "sigma": 0.25,
        "beta": 6.0,
        "form": "stability",
        "clip": (0.0, 1.0),
    }
    assert parsed.evaluation.bounds == ()
    assert parsed.evaluation.smoothing.sigma == 0.25


@pytest.mark.parametrize(
    "objective, published", [("trades", [0.1, 0.05, 0.01]), ("pgd_at", [0.1])]
)
@pytest.mark.parametrize("model", ["vgg16_bn", "wrn_28_4"])
@pytest.mark.parametrize("dataset", ["cifar10", "svhn"])
def test_adversarial_recipes_have_their_settings(
    dataset, model, objective, published
):
    name = f"hydra/{dataset}_{model}_{objective}"
    parsed = parse(f"--preset={name}")
    assert parsed.data.dataset.startswith(dataset)
    assert parsed.data.batch_size == 128
    assert parsed.model.model == model
    assert parsed.pruning.method == "hydra"
    assert densities(name) == published
    # The table of section 3 of HYDRA's recipe.
    assert epochs(parsed) == (100, 20, 100)
    assert rates(parsed) == (0.1, 0.1, 0.01)
    config = parsed.objective.get_config()
    assert config.pop("beta", None) == (6.0 if objective == "trades" else None)
    config.pop("random_start", None)
    assert config == {
        "epsilon": 8 / 255,
        "step_size": 2 / 255,
        "num_steps": 10,
        "threat_model": "linf",
        "clip": (0.0, 1.0),
    }
    # The paper's attack, and that of the benchmark where the method is in it.
    assert parsed.evaluation.attacks == ("pgd", "autoattack")
    assert parsed.evaluation.num_steps == 50
    assert parsed.evaluation.num_restarts == 10


@pytest.mark.parametrize(
    "objective, flag",
    [("pgd_at", "madry"), ("trades", "trades"), ("mart", "mart")],
)
@pytest.mark.parametrize(
    "dataset, model",
    [
        ("cifar10", "vgg16_bn"),
        ("cifar10", "resnet18"),
        ("svhn", "vgg16_bn"),
        ("svhn", "resnet18"),
        ("imagenet", "resnet50"),
    ],
)
def test_recipes_of_harp_have_their_settings(dataset, model, objective, flag):
    name = f"harp/{dataset}_{model}_{objective}"
    parsed = parse(f"--preset={name}")
    check_harp(parsed, imagenet=dataset == "imagenet")
    assert parsed.data.dataset.startswith(dataset)
    # There is another ResNet-50, for small images.
    suffix = "_imagenet" if dataset == "imagenet" else ""
    assert parsed.model.model == model + suffix
    assert parsed.objective_entry("prune").name == flag
    assert parsed.pruning.granularity == "weight"
    assert parsed.pruning.resource == "weights"
    assert densities(name) == [0.01, 0.001]


@pytest.mark.parametrize("model", ["vgg16_bn", "resnet18"])
def test_recipes_of_harp_for_channels_have_their_settings(model):
    name = f"harp/cifar10_{model}_pgd_at_channel"
    parsed = parse(f"--preset={name}")
    check_harp(parsed, imagenet=False)
    assert parsed.model.model == model
    assert parsed.pruning.granularity == "channel"
    assert parsed.pruning.resource == "flops"
    assert densities(name) == [0.5, 0.25, 0.1]


def check_harp(parsed, imagenet):
    assert parsed.pruning.method == "harp"
    assert parsed.pruning.learns_densities
    assert parsed.pruning.learn == "both"
    # Densities start at the default, a tenth in every layer.
    assert parsed.pruning.rates is None
    assert parsed.pruning.gamma_step == (0.1 if imagenet else 0.01)
    assert parsed.optimizers["prune"].weight_decay == 5e-4
    assert rates(parsed) == (0.1, 0.1, 0.01)
    # An epoch of Free-AT has four updates for each batch.
    assert epochs(parsed) == (23 if imagenet else 100, 20, 100)
    if imagenet:
        pretrain = parsed.objective_in("pretrain")
        assert isinstance(pretrain, objectives.FreeAT)
        assert (pretrain.step_size, pretrain.n_repeats) == (4 / 255, 4)
        assert parsed.model.normalize
    assert parsed.data.batch_size == (256 if imagenet else 128)
    epsilon, step_size = (4, 1) if imagenet else (8, 2)
    attack = parsed.evaluation.attack_arguments
    assert parsed.objective.epsilon == attack["epsilon"] == epsilon / 255
    assert parsed.objective.step_size == attack["step_size"] == step_size / 255
    assert parsed.num_examples == (1000 if imagenet else None)


@pytest.mark.parametrize(
    "objective, flag", [("trades",) * 2, ("pgd_at", "madry")]
)
def test_recipes_of_transformers_have_their_settings(objective, flag):
    parsed = parse(f"--preset=vit/cifar10_vit_tiny_{objective}")
    assert parsed.model.model == "vit_tiny"
    assert parsed.objective_entry("prune").name == flag
    assert parsed.objective.epsilon == 8 / 255
    assert (parsed.objective.step_size, parsed.objective.num_steps) == (
        2 / 255,
        10,
    )
    # What the paper finds to matter, with its values.
    optimizer = parsed.optimizers["pretrain"]
    assert (optimizer.optimizer, optimizer.gradient_clipping) == ("sgd", 1.0)
    assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 1e-4)
    assert parsed.data.batch_size == 64
    assert rates(parsed) == (0.1, 0.1, 0.01)
    # Those of HYDRA, for lack of a network that is pretrained on ImageNet.
    assert epochs(parsed) == (100, 20, 100)
    assert optimizer.warmup_epochs == 5


def test_recipe_of_imagenet_has_its_settings():
    parsed = parse("--preset=hydra/imagenet_resnet50_free_at")
    assert parsed.data.dataset == "imagenet2012"
    assert parsed.model.model == "resnet50_imagenet"
    assert parsed.model.normalize
    for phase in PHASES:
        assert parsed.objective_in(phase).get_config() == {
            "epsilon": 4 / 255,
            "step_size": 4 / 255,
            "n_repeats": 4,
            "stay_in_range": False,
            "threat_model": "linf",
            "clip": (0.0, 1.0),
        }
    assert parsed.data.batch_size == 256
    assert epochs(parsed) == (23, 5, 23)
    assert rates(parsed) == (0.1, 0.1, 0.01)


def test_baselines_have_their_settings():
    at_once = parse("--preset=hydra/cifar10_vgg16_bn_trades_lwm")
    assert at_once.pruning.method == "lwm"
    assert epochs(at_once) == (100, 0, 100)
    rounds = parse("--preset=compact/cifar10_vgg16_bn_lwm_multistep")
    assert rounds.pruning.method == "lwm_multistep"
    assert rounds.pruning.multistep
    ticket = parse("--preset=digits_scratch_ticket")
    assert ticket.epochs["pretrain"] == ticket.epochs["finetune"] == 0
    subnetwork = parse("--preset=hydra/cifar10_wrn_28_4_subnetwork")
    assert subnetwork.pruning.density == 0.5
    assert subnetwork.epochs["finetune"] == 0
    digits = parse("--preset=digits_subnetwork")
    assert digits.objective_entry("pretrain").name == "natural"
    assert digits.objective_entry("prune").name == "madry"
    assert digits.epochs["finetune"] == 0


@pytest.mark.parametrize(
    "change",
    ["--method=harp", "--granularity=2:4", "--allocation=erk", "--multistep"],
)
def test_recipe_of_hydra_takes_another_way_to_prune(change):
    extra = ["--density=1/2"] if "2:4" in change else []
    parsed = parse("--preset=hydra/cifar10_vgg16_bn_trades", change, *extra)
    name, _, value = change.removeprefix("--").partition("=")
    assert getattr(parsed.pruning, name) == (value or True)


def test_misspelt_flag_in_a_file_is_an_error(tmp_path):
    recipe = tmp_path / "recipe.flags"
    recipe.write_text("--densty=0.1\n")
    with pytest.raises(flags.UnrecognizedFlagError, match="mean: density"):
        parse(f"--flagfile={recipe}", "--output_dir=x")
