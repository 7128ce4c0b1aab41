"""What pruning methods keep of a robust network, on digits or CIFAR-10.

    python -m benchmarks.methods_table --dataset=digits --seeds=3
    python -m benchmarks.methods_table --dataset=cifar10 --data_dir=DIR \
        --densities=0.01 --methods=lwm,hydra,harp

Pretrains one network per seed with PGD adversarial training (digits) or TRADES
(CIFAR-10), prunes it with every method to every density, finetunes, and prints
a table of natural and robust accuracy (PGD with restarts on the test images),
mean and standard deviation over the seeds, then the same as JSON. The phases
are as long as the originals' in proportion (100, 20 and 100 epochs; the digits'
pretraining and finetuning are shorter still). HARP's densities start at 10 % in
every layer.

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
_METHODS = flags.DEFINE_list(
    "methods", ["lwm", "random", "hydra", "harp"], "Methods to compare."
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
    setting = _setting()
    results: dict[str, list[tuple[float, float]]] = {}
    seeds: list[int] = []
    without_start: list[int] = []
    seed = _FIRST_SEED.value
    while len(seeds) < _SEEDS.value:
        for name, accuracies in _one_seed(setting, seed):
            logging.info(
                "seed %d, %s: natural %.4f, robust %.4f",
                seed,
                name,
                *accuracies,
            )
            if accuracies[0] < _CHANCE and name == "unpruned":
                without_start.append(seed)
                break
            results.setdefault(name, []).append(accuracies)
        else:
            seeds.append(seed)
        seed += 1
        if len(without_start) > _SEEDS.value:
            sys.exit(f"pretraining stays at chance, seeds {without_start}")
    rows = [_summary(name, pairs) for name, pairs in results.items()]
    print(f"{'':<16}{'natural %':>16}{'robust %':>16}")
    for row in rows:
        cells = (
            f"{100 * row[key]:.1f} +- {100 * row[key + '_deviation']:.1f}"
            for key in ("natural_accuracy", "robust_accuracy")
        )
        print(f"{row['network']:<16}" + "".join(f"{c:>16}" for c in cells))
    print(
        json.dumps(
            {
                "dataset": _DATASET.value,
                **dataclasses.asdict(setting),
                "compression_gamma": _GAMMA.value,
                "attack": "pgd, 50 steps of epsilon / 10, 10 restarts",
                "seeds": seeds,
                "seeds_without_start": without_start,
                "results": rows,
            },
            indent=2,
        )
    )


def _one_seed(setting: Setting, seed: int):
    """Yields (network name, (natural, robust accuracy)) for one seed."""
    import keras

    import hydra_tf as ht

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
    yield "unpruned", _accuracies(pretrained, setting, images, labels)
    for text in _DENSITIES.value:
        for method in _METHODS.value:
            network = ht.to_masked(pretrained)
            ht.init_scores(
                network, "random" if method == "random" else "scaled", seed=seed
            )
            if method == "harp":
                _learn(network, float(text), setting, train, seed)
            else:
                ht.set_density(network, float(text))
                if method == "hydra":
                    _fit(network, "prune", setting, train, seed)
            kept = ht.sparsity_report(network).density
            logging.info("%s: density %.5f", method, kept)
            _fit(network, "finetune", setting, train, seed)
            accuracies = _accuracies(network, setting, images, labels)
            yield f"{method} {text}", accuracies


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
        network,
        getattr(ht.objectives, setting.objective)(
            epsilon=setting.epsilon,
            step_size=setting.step_size,
            num_steps=setting.num_steps,
        ),
        seed=seed,
        **arguments,
    )
    epochs = setting.epochs[phase]
    rate = ht.training.CosineRate(
        setting.learning_rates[phase], epochs, train.steps_per_epoch
    )
    robust.compile(
        ht.training.SGD(rate, momentum=0.9, weight_decay=setting.weight_decay)
    )
    robust.fit(
        train.dataset(num_epochs=epochs),
        steps_per_epoch=train.steps_per_epoch,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return robust


def _accuracies(
    network, setting: Setting, images, labels
) -> tuple[float, float]:
    import tensorflow as tf

    import hydra_tf as ht

    plain = ht.strip_masks(network) if ht.masked_layers(network) else network

    @tf.function
    def attack(x, y):
        return ht.attacks.pgd(
            plain,
            x,
            y,
            epsilon=setting.epsilon,
            step_size=setting.epsilon / 10,
            num_steps=50,
            num_restarts=10,
            seed=0,
        )

    def accuracy(x):
        predicted = tf.argmax(plain(x, training=False), axis=-1).numpy()
        return float((predicted == labels).mean())

    return accuracy(images), accuracy(attack(images, labels))


def _summary(name: str, pairs: list[tuple[float, float]]) -> dict:
    natural, robust = zip(*pairs, strict=True)
    deviation = statistics.stdev if len(pairs) > 1 else lambda values: 0.0
    return {
        "network": name,
        "natural_accuracy": statistics.mean(natural),
        "natural_accuracy_deviation": deviation(natural),
        "robust_accuracy": statistics.mean(robust),
        "robust_accuracy_deviation": deviation(robust),
    }


if __name__ == "__main__":
    app.run(main)
