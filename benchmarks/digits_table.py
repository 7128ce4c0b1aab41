"""What pruning methods keep of a robust network, on the digits.

    python -m benchmarks.digits_table --seeds=3

Pretrains one network per seed with PGD adversarial training (Linf), prunes it
with every method to every density, finetunes, and prints a table of natural
and robust accuracy (PGD with restarts on all test images), mean and standard
deviation over the seeds, then the same as JSON.
"""

from __future__ import annotations

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
_DENSITIES = flags.DEFINE_list(
    "densities", ["0.1", "0.05", "0.02", "0.01"], "Fractions of weights kept."
)
_METHODS = flags.DEFINE_list(
    "methods", ["lwm", "random", "hydra"], "Methods to compare."
)
_PRETRAIN_EPOCHS = flags.DEFINE_integer("pretrain_epochs", 40, "Epochs.")
_PRUNE_EPOCHS = flags.DEFINE_integer("prune_epochs", 20, "Epochs (hydra).")
_FINETUNE_EPOCHS = flags.DEFINE_integer("finetune_epochs", 40, "Epochs.")
_EPSILON = flags.DEFINE_float("epsilon", 0.15, "Linf radius.")

_BATCH_SIZE = 128
_LEARNING_RATES = {"pretrain": 0.1, "prune": 0.3, "finetune": 0.01}


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    results: dict[str, list[tuple[float, float]]] = {}
    for seed in range(_SEEDS.value):
        for name, accuracies in _one_seed(seed):
            results.setdefault(name, []).append(accuracies)
            logging.info(
                "seed %d, %s: natural %.4f, robust %.4f",
                seed,
                name,
                *accuracies,
            )
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
                "epsilon": _EPSILON.value,
                "attack": "pgd, 50 steps of epsilon / 10, 10 restarts",
                "seeds": _SEEDS.value,
                "results": rows,
            },
            indent=2,
        )
    )


def _one_seed(seed: int):
    """Yields (network name, (natural, robust accuracy)) for one seed."""
    import keras

    import hydra_tf as ht

    keras.utils.set_random_seed(seed)
    train = ht.data.load("digits", "train", batch_size=_BATCH_SIZE, seed=seed)
    images, labels = ht.data.load(
        "digits", "test", batch_size=_BATCH_SIZE
    ).arrays()
    dense = ht.to_masked(ht.models.create("digits_model", (8, 8, 1), 10))
    _fit(dense, "pretrain", _PRETRAIN_EPOCHS.value, train, seed)
    yield "unpruned", _accuracies(dense, images, labels)
    pretrained = dense.get_weights()
    for text in _DENSITIES.value:
        for method in _METHODS.value:
            network = keras.models.clone_model(dense)
            network.set_weights(pretrained)
            ht.init_scores(
                network, "random" if method == "random" else "scaled", seed=seed
            )
            ht.set_density(network, float(text))
            if method == "hydra":
                _fit(network, "prune", _PRUNE_EPOCHS.value, train, seed)
            _fit(network, "finetune", _FINETUNE_EPOCHS.value, train, seed)
            yield f"{method} {text}", _accuracies(network, images, labels)


def _fit(network, phase: str, epochs: int, train, seed: int) -> None:
    import hydra_tf as ht

    ht.set_phase(network, phase)
    epsilon = _EPSILON.value
    robust = ht.RobustModel(
        network,
        ht.objectives.Madry(
            epsilon=epsilon, step_size=epsilon / 4, num_steps=7
        ),
        seed=seed,
    )
    rate = ht.training.CosineRate(
        _LEARNING_RATES[phase], epochs, train.steps_per_epoch
    )
    robust.compile(ht.training.SGD(rate, momentum=0.9, weight_decay=1e-4))
    robust.fit(
        train.dataset(num_epochs=epochs),
        steps_per_epoch=train.steps_per_epoch,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    )


def _accuracies(network, images, labels) -> tuple[float, float]:
    import tensorflow as tf

    import hydra_tf as ht

    plain = ht.strip_masks(network)

    @tf.function
    def attack(x, y):
        return ht.attacks.pgd(
            plain,
            x,
            y,
            epsilon=_EPSILON.value,
            step_size=_EPSILON.value / 10,
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
