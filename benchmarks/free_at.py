"""Sets Free-AT beside PGD training, at the same number of gradient steps.

    python -m benchmarks.free_at --seeds=0,1,2
    python -m benchmarks.free_at --phases=pretrain,prune,finetune
    python -m benchmarks.free_at --select

A gradient step is a forward and a backward pass of a batch: PGD training with
K attack steps takes K + 1 for an update, Free-AT one. `--epochs` are those of
PGD with 3 steps; the others go through the digits as often as has as many
gradient steps. Prints robust accuracy on the test images under PGD with 50
steps and 10 restarts, of each seed and in the mean.

`--select` looks at no test image. It trains with all settings of `_TRIED` on
four fifths of the training images and measures on the others: all on the first
seed's fifth, the best two on those of the other seeds. `_CHOSEN` are the best.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
from typing import Any

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

from benchmarks.figures import percent  # noqa: E402

_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_PHASES = flags.DEFINE_list(
    "phases", ["pretrain"], "Phases to run, the last one is measured."
)
_DENSITY = flags.DEFINE_float("density", 0.05, "Fraction of weights kept.")
_EPOCHS = flags.DEFINE_integer(
    "epochs", 80, "Epochs of PGD-3 training; half as many to prune."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images per batch.")
_RECIPES = flags.DEFINE_list("recipes", ["pgd3", "free_at"], "What to run.")
_SELECT = flags.DEFINE_bool(
    "select", False, "Compare settings on held-out training images."
)

_EPSILON = 0.15
_BUDGET = 4  # Gradient steps for each image of one of `--epochs`.
_FINALISTS = 2


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What is chosen for each recipe.

    Attributes:
        step: Of the attack, a share of the radius.
        rate: Peak learning rate.
        schedule: Of the learning rate.
        averaging: Decay of the average of the weights.
    """

    step: float
    rate: float = 0.1
    schedule: str = "cosine"
    averaging: float = 0.0

    def __str__(self) -> str:
        average = f", average {self.averaging}" if self.averaging else ""
        return f"step {self.step:.3g}, {self.schedule} {self.rate}{average}"


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """A kind of training.

    Attributes:
        name: As printed.
        gradients: Gradient steps of an image in an epoch.
        attack: Arguments of the objective.
    """

    name: str
    gradients: int
    attack: dict[str, Any]

    @property
    def epochs(self) -> int:
        return round(_EPOCHS.value * _BUDGET / self.gradients)

    def objective(self, settings: _Settings) -> Any:
        import hydra_tf as ht

        kind = "free_at" if "n_repeats" in self.attack else "madry"
        return ht.objectives.create(
            kind,
            epsilon=_EPSILON,
            step_size=settings.step * _EPSILON,
            **self.attack,
        )


_KINDS = {
    "pgd3": _Recipe("PGD-3", 4, {"num_steps": 3}),
    "pgd7": _Recipe("PGD-7", 8, {"num_steps": 7}),
    "free_at": _Recipe(
        "Free-AT, m = 4", 4, {"n_repeats": 4, "stay_in_range": True}
    ),
    "free_at_original": _Recipe(
        "Free-AT as the original, m = 4", 4, {"n_repeats": 4}
    ),
}
_TRIED = {
    "pgd3": [
        _Settings(1 / 4),
        _Settings(1 / 2),
        _Settings(2 / 3),
        _Settings(1),
        _Settings(2 / 3, rate=0.05),
        _Settings(2 / 3, rate=0.2),
        _Settings(2 / 3, schedule="one_cycle"),
        _Settings(2 / 3, rate=0.2, schedule="one_cycle"),
    ],
    "pgd7": [
        _Settings(1 / 4),
        _Settings(1 / 2),
        _Settings(1 / 2, schedule="one_cycle"),
    ],
    "free_at": [
        _Settings(1 / 2),
        _Settings(2 / 3),
        _Settings(2 / 3, rate=0.05),
        _Settings(2 / 3, averaging=0.99),
        _Settings(1 / 2, schedule="one_cycle"),
        _Settings(2 / 3, schedule="one_cycle"),
        _Settings(2 / 3, rate=0.15, schedule="one_cycle"),
        _Settings(2 / 3, rate=0.2, schedule="one_cycle"),
    ],
}
_TRIED["free_at_original"] = _TRIED["free_at"]
_CHOSEN = {
    "pgd3": _Settings(2 / 3),
    "pgd7": _Settings(1 / 2),
    "free_at": _Settings(2 / 3, schedule="one_cycle"),
    "free_at_original": _Settings(2 / 3, schedule="one_cycle"),
}


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    unknown = set(_RECIPES.value) - set(_KINDS)
    if unknown:
        raise app.UsageError(f"--recipes has no {', '.join(sorted(unknown))}")
    seeds = [int(seed) for seed in _SEEDS.value]
    if _SELECT.value:
        for recipe in _RECIPES.value:
            _select(recipe, seeds)
        return
    found: dict[str, list[float]] = {name: [] for name in _RECIPES.value}
    for seed in seeds:
        for name in found:
            found[name].append(_measured(name, _CHOSEN[name], seed))
    for name, each in found.items():
        print(
            f"{_KINDS[name].name}: {_KINDS[name].epochs} epochs, "
            f"{_CHOSEN[name]}: robust {percent(each)}"
        )


def _select(recipe: str, seeds: list[int]) -> None:
    """Prints how the settings that are tried do on held-out images."""
    found = {
        settings: [_measured(recipe, settings, seeds[0])]
        for settings in _TRIED[recipe]
    }
    best = sorted(found, key=lambda settings: -found[settings][0])
    for settings in best[:_FINALISTS]:
        found[settings] += [
            _measured(recipe, settings, seed) for seed in seeds[1:]
        ]
    best.sort(key=lambda each: (-len(found[each]), -sum(found[each])))
    for settings in best:
        mean = statistics.mean(found[settings])
        print(
            f"{_KINDS[recipe].name}, {settings}: {100 * mean:.1f} on "
            f"{len(found[settings])} folds"
        )


def _measured(recipe: str, settings: _Settings, seed: int) -> float:
    """Returns robust accuracy after the last phase; 0 if it diverges."""
    import keras

    import hydra_tf as ht

    train, measured = _images(seed)
    kind = _KINDS[recipe]
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    network = ht.models.create("digits_model", train.image_shape, 10)
    natural = robust = 0.0
    try:
        for phase in _PHASES.value:
            if phase == "prune":
                network = ht.start_pruning(network, density=_DENSITY.value)
            network = ht.training.run_phase(
                network,
                phase,
                train,
                kind.objective(settings),
                epochs=kind.epochs // 2 if phase == "prune" else kind.epochs,
                learning_rate=settings.rate,
                lr_schedule=settings.schedule,
                weight_averaging=settings.averaging,
                seed=seed,
            )
        result = ht.evaluation.evaluate(
            network,
            *measured.arrays(),
            epsilon=_EPSILON,
            num_steps=50,
            num_restarts=2 if _SELECT.value else 10,
        )
        natural = result.natural_accuracy
        robust = result.robust_accuracy["pgd"]
    except ht.errors.DivergedError:
        pass
    print(
        f"{kind.name}, {settings}, seed {seed}: natural {natural:.1%}, "
        f"robust {robust:.1%}",
        flush=True,
    )
    return robust


def _images(seed: int) -> tuple[Any, Any]:
    """Returns the images to train on and those to measure on."""
    import numpy as np

    import hydra_tf as ht
    from benchmarks.results.training import fold

    def load(split: str, drop: bool = False) -> Any:
        return ht.data.load(
            "digits",
            split,
            batch_size=_BATCH_SIZE.value,
            seed=seed,
            drop_remainder=drop,
        )

    train = load("train")
    kept = np.arange(len(train))
    measured = load("test")
    if _SELECT.value:
        kept, held_out = fold(train.known_labels(), seed)
        measured = train.subset(held_out, training=False)
    # Four updates by a few images undo what an epoch of Free-AT has learnt.
    rest = len(kept) % _BATCH_SIZE.value
    if rest < _BATCH_SIZE.value / 2:
        train = load("train", drop=True)
    return train.subset(kept), measured


if __name__ == "__main__":
    app.run(main)
