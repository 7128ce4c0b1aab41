r"""Sets int8 after training beside int8 in the finetune phase.

    python -m benchmarks.quantization --seeds=0,1,2
    python -m benchmarks.quantization --dataset=cifar10 --model=cifar_model \
        --epsilon=0.03137 --num_steps=3 --density=0.1 --epochs=8,4,8 \
        --learning_rates=0.05,0.05,0.01 --num_images=2000 --data_dir=DIR

Pretrains and prunes a network (HYDRA, ERK, FGSM or PGD), finetunes it with and
without `quantize="int8"`, and writes both as LiteRT float and int8. Prints
accuracy on test images, natural and robust: under the adversarial examples of
the network in floats that the file came from, and under Square directly.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_DATASET = flags.DEFINE_string("dataset", "digits", "Name of a dataset.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Of tensorflow-datasets.")
_MODEL = flags.DEFINE_string("model", "digits_model", "Of hydra_tf.models.")
_EPSILON = flags.DEFINE_float("epsilon", 0.15, "Radius.", 0, 1)
_NUM_STEPS = flags.DEFINE_integer(
    "num_steps", 1, "Attack steps of training.", 1
)
_DENSITY = flags.DEFINE_float("density", 0.05, "Fraction that is kept.", 0, 1)
_EPOCHS = flags.DEFINE_list("epochs", ["40", "20", "40"], "Of the phases.")
_RATES = flags.DEFINE_list(
    "learning_rates", ["0.1", "0.1", "0.1"], "Peaks of the phases."
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Test images.", 1)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for seed in map(int, _SEEDS.value):
        for name, figures in _measured(seed):
            found.setdefault(name, []).append(figures)
            print(seed, *name, *(f"{each:.1%}" for each in figures), flush=True)
    print("\nfinetuning, file: natural, transferred, Square, agreement")
    for name, each in found.items():
        means = [statistics.mean(column) for column in zip(*each, strict=True)]
        print(*name, *(f"{mean:.2%}" for mean in means), sep="\t")


def _measured(seed: int):
    """Yields what was measured of each file, by finetuning and format."""
    import keras
    import numpy as np

    import hydra_tf as ht

    train, test = (
        ht.data.load(
            _DATASET.value, split, batch_size=128, data_dir=_DATA_DIR.value
        )
        for split in ("train", "test")
    )
    train.seed = seed
    images, labels = test.arrays(_NUM_IMAGES.value)
    samples, _ = train.arrays(500)
    if _NUM_STEPS.value == 1:
        objective = ht.objectives.FGSM(epsilon=_EPSILON.value)
    else:
        objective = ht.objectives.Madry(
            epsilon=_EPSILON.value,
            step_size=1.5 * _EPSILON.value / _NUM_STEPS.value,
            num_steps=_NUM_STEPS.value,
        )
    epochs = [int(each) for each in _EPOCHS.value]
    rates = [float(each) for each in _RATES.value]
    keras.utils.set_random_seed(seed)
    pretrained = ht.training.run_phase(
        ht.models.create(_MODEL.value, images.shape[1:], train.num_classes),
        "pretrain",
        train,
        objective,
        epochs=epochs[0],
        learning_rate=rates[0],
        weight_decay=5e-4,
        seed=seed,
    )
    predicted = pretrained.predict(images, verbose=0).argmax(1)
    print(seed, "unpruned", f"{np.mean(predicted == labels):.1%}", flush=True)
    for quantize in ("none", "int8"):
        network = ht.prune(
            pretrained,
            train,
            objective,
            _DENSITY.value,
            allocation="erk",
            prune_epochs=epochs[1],
            prune_learning_rate=rates[1],
            finetune_epochs=epochs[2],
            finetune_learning_rate=rates[2],
            quantize=quantize,
            weight_decay=5e-4,
            seed=seed,
        ).network
        evaluation = ht.evaluation.ArtifactEvaluation(
            network, images, labels, epsilon=_EPSILON.value
        )
        for written in ("none", "int8"):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "network.tflite")
                ht.export.export_litert(
                    network, path, quantize=written, representative=samples
                )
                figures = evaluation.measure(
                    ht.export.litert_function(path), timed=False
                )
            yield (
                (f"finetuned with {quantize}", f"LiteRT {written}"),
                (
                    figures.natural_accuracy,
                    figures.transferred_accuracy,
                    figures.square_accuracy,
                    figures.agreement,
                ),
            )


if __name__ == "__main__":
    app.run(main)
