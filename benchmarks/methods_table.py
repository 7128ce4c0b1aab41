"""What pruning methods keep of a robust network, on digits or CIFAR-10.

    python -m benchmarks.methods_table --dataset=digits --seeds=3
    python -m benchmarks.methods_table --dataset=cifar10 --data_dir=DIR \
        --densities=0.01 --methods=lwm,hydra,harp

Pretrains one network per seed with PGD adversarial training (digits) or TRADES
(CIFAR-10), prunes it with every method to every density, finetunes, and prints
a table of natural accuracy and robust accuracy on the test images, under PGD
with restarts or under each of --attacks, mean and standard deviation over the
seeds, then the same as JSON. The phases are as long as the originals' in
proportion (100, 20 and 100 epochs; the digits' pretraining and finetuning are
shorter still). HARP's densities start at 10 % in every layer.

`tfmot` is `prune_low_magnitude` of TensorFlow Model Optimization, what a user
of TensorFlow has without this library; see `tfmot_peer`. Its sparsity grows in
the epochs in which the others prune, and stays in those in which they finetune:
the same budget, objective, optimiser, and learning rate of finetuning.

A seed whose pretraining stays at chance is listed and replaced.

CIFAR-10 is read by tensorflow-datasets from --data_dir (or downloaded): a tenth
of its training images, and the first 1,000 test images.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import sys

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402
from absl import logging  # noqa: E402

_ALL_METHODS = ["lwm", "random", "hydra", "harp", "tfmot"]

_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of seeds.", lower_bound=1)
_FIRST_SEED = flags.DEFINE_integer(
    "first_seed", 0, "The first seed.", lower_bound=0
)
_DATASET = flags.DEFINE_enum(
    "dataset", "digits", ["digits", "cifar10"], "Which images."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of tensorflow-datasets, for cifar10."
)
_DENSITIES = flags.DEFINE_list(
    "densities", ["0.1", "0.05", "0.02", "0.01"], "Fractions of weights kept."
)
_METHODS = flags.DEFINE_list("methods", _ALL_METHODS, "Methods to compare.")
_ATTACKS = flags.DEFINE_list(
    "attacks",
    ["pgd"],
    "Attacks that measure robust accuracy, such as pgd,autoattack; PGD has 50 "
    "steps of epsilon / 10 and 10 restarts.",
)
_PRETRAIN_EPOCHS = flags.DEFINE_integer("pretrain_epochs", None, "Epochs.")
_PRUNE_EPOCHS = flags.DEFINE_integer(
    "prune_epochs", None, "Epochs (hydra and harp)."
)
_FINETUNE_EPOCHS = flags.DEFINE_integer("finetune_epochs", None, "Epochs.")
_LEARNING_RATES = {
    phase: flags.DEFINE_float(
        f"{phase}_learning_rate", None, f"Peak rate of the {phase} phase."
    )
    for phase in ("pretrain", "prune", "finetune")
}
_WEIGHT_DECAY = flags.DEFINE_float("weight_decay", None, "Weight decay.")
_GAMMA = flags.DEFINE_float(
    "compression_gamma", 0.01, "What HARP's gamma grows by at every epoch."
)


@flags.validator("methods", f"must be some of {','.join(_ALL_METHODS)}")
def _known(methods: list[str]) -> bool:
    return set(methods) <= set(_ALL_METHODS)


@flags.validator("densities", "must be fractions, above 0 and at most 1")
def _fractions(densities: list[str]) -> bool:
    try:
        return all(0 < float(density) <= 1 for density in densities)
    except ValueError:
        return False


_BATCH_SIZE = 128

# A network whose pretraining does not rise above this (of ten classes) has not
# learned anything that pruning could keep; another seed takes its place.
_CHANCE = 0.15


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained, on what, against what."""

    model: str
    image_shape: tuple[int, int, int]
    epsilon: float
    step_size: float
    num_steps: int
    objective: str
    fraction: float
    num_test: int
    epochs: dict[str, int]
    learning_rates: dict[str, float]
    weight_decay: float


_SETTINGS = {
    "digits": Setting(
        model="digits_model",
        image_shape=(8, 8, 1),
        epsilon=0.15,
        step_size=0.0375,
        num_steps=7,
        objective="Madry",
        fraction=1.0,
        num_test=10_000,
        epochs={"pretrain": 40, "prune": 20, "finetune": 40},
        learning_rates={"pretrain": 0.1, "prune": 0.3, "finetune": 0.01},
        weight_decay=1e-4,
    ),
    "cifar10": Setting(
        model="cifar_model",
        image_shape=(32, 32, 3),
        epsilon=8 / 255,
        step_size=2 / 255,
        num_steps=10,
        # PGD adversarial training of this network, which has no batch norm,
        # stays at chance with every other seed.
        objective="TRADES",
        fraction=0.1,
        num_test=1000,
        epochs={"pretrain": 25, "prune": 5, "finetune": 25},
        learning_rates={"pretrain": 0.1, "prune": 0.1, "finetune": 0.01},
        weight_decay=5e-4,
    ),
}


def _setting() -> Setting:
    setting = _SETTINGS[_DATASET.value]
    given = {
        "pretrain": _PRETRAIN_EPOCHS.value,
        "prune": _PRUNE_EPOCHS.value,
        "finetune": _FINETUNE_EPOCHS.value,
    }
    epochs = {
        phase: count if given[phase] is None else given[phase]
        for phase, count in setting.epochs.items()
    }
    rates = {
        phase: default if given_rate.value is None else given_rate.value
        for (phase, default), given_rate in zip(
            setting.learning_rates.items(),
            _LEARNING_RATES.values(),
            strict=True,
        )
    }
    decay = _WEIGHT_DECAY.value
    return dataclasses.replace(
        setting,
        epochs=epochs,
        learning_rates=rates,
        weight_decay=setting.weight_decay if decay is None else decay,
    )


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    from hydra_tf import text
    from hydra_tf.errors import InputError

    setting = _setting()
    try:
        evaluation = _evaluation(setting)
    except InputError as error:
        sys.exit(f"methods_table: {error}")
    results: dict[str, list[dict]] = {}
    seeds: list[int] = []
    without_start: list[int] = []
    seed = _FIRST_SEED.value
    while len(seeds) < _SEEDS.value:
        for name, figures in _one_seed(setting, evaluation, seed):
            logging.info("seed %d, %s: %s", seed, name, figures)
            if figures["natural_accuracy"] < _CHANCE and name == "unpruned":
                without_start.append(seed)
                break
            results.setdefault(name, []).append(figures)
        else:
            seeds.append(seed)
        seed += 1
        if len(without_start) > _SEEDS.value:
            sys.exit(f"pretraining stays at chance, seeds {without_start}")
    rows = [_summary(name, each) for name, each in results.items()]
    print(
        text.table(
            [
                "network",
                "density",
                "natural %",
                *(f"{name} %" for name in evaluation.attacks),
            ],
            [_cells(row) for row in rows],
        )
    )
    print(
        json.dumps(
            {
                "dataset": _DATASET.value,
                **dataclasses.asdict(setting),
                "compression_gamma": _GAMMA.value,
                "attacks": evaluation.attack_records,
                "seeds": seeds,
                "seeds_without_start": without_start,
                "results": rows,
            },
            indent=2,
        )
    )


def _evaluation(setting: Setting):
    """Returns how every network is measured."""
    from hydra_tf.evaluation import EvaluationSettings

    return EvaluationSettings(
        attacks=tuple(_ATTACKS.value),
        epsilon=setting.epsilon,
        step_size=setting.epsilon / 10,
        num_steps=50,
        num_restarts=10,
    )


def _one_seed(setting: Setting, evaluation, seed: int):
    """Yields the names and the figures of the networks of one seed."""
    import keras

    import hydra_tf as ht
    from benchmarks import tfmot_peer

    keras.utils.set_random_seed(seed)
    source = {"batch_size": _BATCH_SIZE, "data_dir": _DATA_DIR.value}
    train = ht.data.load(
        _DATASET.value, "train", seed=seed, fraction=setting.fraction, **source
    )
    images, labels = (
        array[: setting.num_test]
        for array in ht.data.load(_DATASET.value, "test", **source).arrays()
    )
    pretrained = ht.models.create(setting.model, setting.image_shape, 10)
    _fit(pretrained, "pretrain", setting, train, seed)

    def figures(network):
        measured = ht.evaluation.evaluate(network, images, labels, evaluation)
        return {
            "density": _density(network),
            "natural_accuracy": measured.natural_accuracy,
            "robust_accuracy": measured.robust_accuracy,
        }

    yield "unpruned", figures(pretrained)
    for text in _DENSITIES.value:
        density = float(text)
        for method in _METHODS.value:
            if method == "tfmot":
                epochs = setting.epochs["prune"] + setting.epochs["finetune"]
                network = tfmot_peer.prune(
                    pretrained,
                    _objective(setting),
                    train,
                    density=density,
                    ramp_epochs=max(setting.epochs["prune"], 1),
                    epochs=epochs,
                    optimizer=_optimizer(setting, "finetune", epochs, train),
                    seed=seed,
                )
            else:
                network = _prune(
                    pretrained, method, density, setting, train, seed
                )
                _fit(network, "finetune", setting, train, seed)
                network = ht.strip_masks(network)
            measured = figures(network)
            _check_density(network, density, measured["density"])
            yield f"{method} {text}", measured


def _prune(
    pretrained, method: str, density: float, setting: Setting, train, seed: int
):
    """Returns a masked copy of a network, pruned but not finetuned."""
    import hydra_tf as ht

    network = ht.to_masked(pretrained)
    ht.init_scores(
        network, "random" if method == "random" else "scaled", seed=seed
    )
    if method == "harp":
        _learn(network, density, setting, train, seed)
        return network
    ht.set_density(network, density)
    if method == "hydra":
        _fit(network, "prune", setting, train, seed)
    return network


def _learn(network, density: float, setting: Setting, train, seed: int) -> None:
    """The prune phase of HARP."""
    import hydra_tf as ht

    ht.learn_densities(network, density)
    best = ht.training.BestWeights()
    robust = _fit(
        network,
        "prune",
        setting,
        train,
        seed,
        callbacks=[best],
        compression=ht.training.Compression(density, gamma_step=_GAMMA.value),
    )
    last = robust.history.history["density"][-1]
    ht.settle_densities(network, density)
    logging.info(
        "harp: learned density %.5f at the end; best epoch %s", last, best.epoch
    )


def _fit(
    network,
    phase: str,
    setting: Setting,
    train,
    seed: int,
    callbacks=(),
    **arguments,
):
    """Trains the network for a phase and returns what trained it."""
    import hydra_tf as ht

    if ht.masked_layers(network):
        ht.set_phase(network, phase)
    robust = ht.RobustModel(
        network, _objective(setting), seed=seed, **arguments
    )
    epochs = setting.epochs[phase]
    robust.compile(_optimizer(setting, phase, epochs, train))
    robust.fit(
        train.dataset(num_epochs=epochs),
        steps_per_epoch=train.steps_per_epoch,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return robust


def _objective(setting: Setting):
    """Returns what is trained."""
    import hydra_tf as ht

    return getattr(ht.objectives, setting.objective)(
        epsilon=setting.epsilon,
        step_size=setting.step_size,
        num_steps=setting.num_steps,
    )


def _optimizer(setting: Setting, phase: str, epochs: int, train):
    """Returns the optimiser of a phase."""
    import hydra_tf as ht

    rate = ht.training.CosineRate(
        setting.learning_rates[phase], epochs, train.steps_per_epoch
    )
    return ht.training.SGD(
        rate, momentum=0.9, weight_decay=setting.weight_decay
    )


def _kernels(network) -> list:
    return [
        layer.kernel.numpy()
        for layer in network.layers
        if hasattr(layer, "kernel")
    ]


def _density(network) -> float:
    """Returns the fraction of the prunable weights that are not zero."""
    import numpy as np

    kernels = _kernels(network)
    kept = sum(np.count_nonzero(kernel) for kernel in kernels)
    return float(kept / sum(kernel.size for kernel in kernels))


def _check_density(network, wanted: float, found: float) -> None:
    """Ends the benchmark if a network has more weights than it may."""
    kernels = _kernels(network)
    # Every layer rounds to whole weights.
    if found > wanted + len(kernels) / sum(kernel.size for kernel in kernels):
        sys.exit(f"density {found:.5f} instead of {wanted}")


def _summary(name: str, figures: list[dict]) -> dict:
    """Returns a network's row: means and deviations over the seeds."""
    natural = [each["natural_accuracy"] for each in figures]
    robust = {
        attack: [each["robust_accuracy"][attack] for each in figures]
        for attack in figures[0]["robust_accuracy"]
    }
    mean = statistics.mean
    return {
        "network": name,
        "density": mean(each["density"] for each in figures),
        "natural_accuracy": mean(natural),
        "natural_accuracy_deviation": _deviation(natural),
        "robust_accuracy": {key: mean(each) for key, each in robust.items()},
        "robust_accuracy_deviation": {
            key: _deviation(each) for key, each in robust.items()
        },
    }


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _cells(row: dict) -> list[str]:
    """Returns what the table shows of a row."""
    pairs = [
        (row["natural_accuracy"], row["natural_accuracy_deviation"]),
        *zip(
            row["robust_accuracy"].values(),
            row["robust_accuracy_deviation"].values(),
            strict=True,
        ),
    ]
    return [
        row["network"],
        f"{row['density']:.4f}",
        *(f"{100 * mean:.1f} +- {100 * spread:.1f}" for mean, spread in pairs),
    ]


if __name__ == "__main__":
    app.run(main)
