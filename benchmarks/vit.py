"""Prunes a vision transformer to a tenth: HYDRA beside LWM.

    python -m benchmarks.vit --select
    python -m benchmarks.vit --seeds=0,1,2

`digits_vit` takes some epochs on clean images, is pretrained by PGD training
and then pruned, with the same number of epochs for every method: HYDRA's
are divided between scores and weights. `--select` tries learning rates and
allocations, one setting after the other, and measures them on a fifth of the
training images that it holds out, another one for each seed; what is best over
the seeds stands in `_CHOSEN`. Prints
accuracy on the test images, natural and under PGD with 50 steps and restarts on
cross-entropy and margin, where an image has to withstand both.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

from benchmarks.figures import percent  # noqa: E402

_SELECT = flags.DEFINE_bool("select", False, "Choose the settings instead.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_METHODS = flags.DEFINE_list("methods", ["dense", "lwm", "hydra"], "Rows.")
_DENSITY = flags.DEFINE_float("density", 0.1, "Fraction that is kept.", 0, 1)
_EPOCHS = flags.DEFINE_list(
    "epochs", ["10", "30", "8", "30"], "Natural, pretrain, prune, finetune."
)
_FOLDER = flags.DEFINE_string(
    "folder",
    os.path.join(tempfile.gettempdir(), "hydra_tf_vit"),
    "Keeps pretrained networks for another run of the same code.",
)

_EPSILON = 0.1
_NUM_STEPS = 2
_PRETRAIN_RATE = 1e-3
_PRETRAIN_BATCH_SIZE = 64
# Weights that are few need many steps.
_BATCH_SIZE = 32

_RATES = {"finetune_learning_rate": (6e-3, 1e-2)}
_RULES = {"allocation": ("erk", "lamp")}
# Values by setting, the first to begin with; each is chosen with those before
# at their best.
_TRIED: dict[str, dict[str, tuple[Any, ...]]] = {
    "dense": {"finetune_learning_rate": (1e-3, 3e-3)},
    "lwm": {**_RATES, **_RULES},
    "hydra": {"prune_learning_rate": (1e-2, 3e-3, 1e-3), **_RATES, **_RULES},
}
_CHOSEN: dict[str, dict[str, Any]] = {
    "dense": {"finetune_learning_rate": 1e-3},
    "lwm": {"finetune_learning_rate": 6e-3, "allocation": "erk"},
    "hydra": {
        "finetune_learning_rate": 1e-2,
        "allocation": "erk",
        "prune_learning_rate": 1e-3,
    },
}
_LABELS = {
    "unpruned": "unpruned",
    "dense": "unpruned, trained on",
    "lwm": "LWM",
    "hydra": "HYDRA",
}


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    courses = [_Course(int(seed)) for seed in _SEEDS.value]
    if _SELECT.value:
        _select(courses)
        return
    found = {"unpruned": [course.unpruned() for course in courses]}
    for name in _METHODS.value:
        settings = _CHOSEN[name]
        found[name] = [course.pruned(name, settings) for course in courses]
    print("\n| network | natural | robust |\n|---|---|---|")
    for name, each in found.items():
        columns = [percent(column) for column in zip(*each, strict=True)]
        print(f"| {_LABELS[name]} | {' | '.join(columns)} |")


def _select(courses: list[_Course]) -> None:
    """Prints the settings of each method that are best over the seeds."""
    for course in courses:
        course.unpruned()
    for name in _METHODS.value:

        def robust(tried, name=name):
            return statistics.mean(
                course.pruned(name, tried)[1] for course in courses
            )

        print(f"{name}: chosen {chosen(_TRIED[name], robust)}", flush=True)


def chosen(
    tried: Mapping[str, tuple[Any, ...]],
    measure: Callable[[dict[str, Any]], float],
) -> dict[str, Any]:
    """Returns the best value of each setting.

    Args:
        tried: Values by setting; the first of each serves until it is chosen.
        measure: Returns how good settings are. None are measured twice.
    """
    best = {setting: values[0] for setting, values in tried.items()}
    top = None
    for setting, values in tried.items():
        for value in values:
            settings = {**best, setting: value}
            if top is not None and settings == best:
                continue
            figure = measure(settings)
            if top is None or figure > top:
                top, best = figure, settings
    return best


class _Course:
    """Trains and measures the networks of a seed."""

    def __init__(self, seed: int):
        import hydra_tf as ht

        self._seed = seed
        self._train = self._images("train", _BATCH_SIZE)
        self._test = self._images("test", _BATCH_SIZE).arrays()
        self._objective = ht.objectives.Madry(
            epsilon=_EPSILON,
            step_size=1.5 * _EPSILON / _NUM_STEPS,
            num_steps=_NUM_STEPS,
        )
        self._epochs = [int(each) for each in _EPOCHS.value]
        self._training: dict[str, Any] = {
            "optimizer": "adam",
            "gradient_clipping": 1.0,
            "seed": seed,
        }
        words = ["select" if _SELECT.value else "final", *_EPOCHS.value[:2]]
        name = "-".join([*words, str(seed)])
        self._file = os.path.join(_FOLDER.value, f"{name}.keras")

    def _images(self, split: str, batch_size: int):
        """Returns images to train on or to measure on."""
        import numpy as np

        import hydra_tf as ht
        from benchmarks.results.training import fold

        source = "train" if _SELECT.value else split
        images = ht.data.load(
            "digits", source, batch_size=batch_size, seed=self._seed
        )
        if not _SELECT.value:
            return images
        labels = np.asarray(images.known_labels())
        kept, held_out = fold(labels, self._seed)
        if split == "train":
            return images.subset(kept)
        return images.subset(held_out, training=False)

    def unpruned(self) -> tuple[float, float]:
        """Returns natural and robust accuracy of the pretrained network."""
        return self._measured("unpruned", {}, self._pretrained())

    def pruned(self, name: str, settings: dict[str, Any]):
        """Returns the same of the network pruned by a method of `_TRIED`."""
        import hydra_tf as ht

        prune_epochs, finetune_epochs = self._epochs[2:]
        if name != "hydra":
            prune_epochs, finetune_epochs = 0, prune_epochs + finetune_epochs
        network = ht.prune(
            self._pretrained(),
            self._train,
            self._objective,
            1.0 if name == "dense" else _DENSITY.value,
            method="lwm" if name == "dense" else name,
            prune_epochs=prune_epochs,
            finetune_epochs=finetune_epochs,
            steps_per_execution=self._train.steps_per_epoch,
            **settings,
            **self._training,
        ).network
        return self._measured(name, settings, network)

    def _pretrained(self):
        import keras

        import hydra_tf as ht

        keras.backend.clear_session()
        if os.path.exists(self._file):
            return keras.models.load_model(self._file)
        train = self._images("train", _PRETRAIN_BATCH_SIZE)
        keras.utils.set_random_seed(self._seed)
        network = ht.models.create("digits_vit", self._train.image_shape, 10)
        for objective, epochs in zip(
            (ht.objectives.Natural(), self._objective),
            self._epochs,
            strict=False,
        ):
            network = ht.training.run_phase(
                network,
                "pretrain",
                train,
                objective,
                epochs=epochs,
                learning_rate=_PRETRAIN_RATE,
                steps_per_execution=train.steps_per_epoch,
                **self._training,
            )
        os.makedirs(_FOLDER.value, exist_ok=True)
        network.save(self._file)
        return network

    def _measured(self, name: str, settings: dict[str, Any], network: Any):
        import numpy as np

        import hydra_tf as ht

        result = ht.evaluation.evaluate(
            network,
            *self._test,
            epsilon=_EPSILON,
            attacks=("pgd", "pgd_margin"),
            num_steps=20 if _SELECT.value else 50,
            num_restarts=1 if _SELECT.value else 2,
        )
        withstood = np.all(list(result.withstood.values()), axis=0)
        natural, robust = result.natural_accuracy, float(np.mean(withstood))
        print(
            f"seed {self._seed}, {name}: natural {natural:.1%}, "
            f"robust {robust:.1%} {settings or ''}",
            flush=True,
        )
        return natural, robust


if __name__ == "__main__":
    app.run(main)
