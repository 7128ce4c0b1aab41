"""Sets Free-AT beside PGD training, at the same number of gradient steps.

    python -m benchmarks.free_at --seeds=0,1,2
    python -m benchmarks.free_at --phases=pretrain,prune,finetune

A gradient step is a forward and a backward pass of a batch: PGD training with
K attack steps takes K + 1 for an update, Free-AT one. So Free-AT with m replays
goes through the digits (K + 1) / m times as often as PGD training does, and
makes K + 1 updates where that makes one. Prints robust accuracy on the test
images under PGD with 50 steps and 10 restarts, of each seed and in the mean.
"""

from __future__ import annotations

import os
import statistics
import sys

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app  # noqa: E402
from absl import flags  # noqa: E402

_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_PHASES = flags.DEFINE_list(
    "phases", ["pretrain"], "Phases to run, the last one is measured."
)
_DENSITY = flags.DEFINE_float("density", 0.05, "Fraction of weights kept.")
_EPOCHS = flags.DEFINE_integer(
    "epochs", 80, "Epochs of PGD training; half as many to prune."
)
_NUM_STEPS = flags.DEFINE_integer("num_steps", 3, "Attack steps of PGD.")
_N_REPEATS = flags.DEFINE_integer("n_repeats", 4, "Replays of Free-AT.")
_STEP_SIZE = flags.DEFINE_float("step_size", 0.075, "Step of Free-AT.")
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", 0.1, "Peak learning rate of PGD training."
)
_FREE_LEARNING_RATE = flags.DEFINE_float(
    "free_learning_rate", 0.1, "Peak learning rate of Free-AT."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images per batch.")

_LR_SCHEDULE = flags.DEFINE_string("lr_schedule", "cosine", "Of both.")
_RECIPES = flags.DEFINE_list("recipes", ["pgd", "free_at"], "What to run.")

_EPSILON = 0.15


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    import hydra_tf as ht

    gradients = _NUM_STEPS.value + 1
    recipes = {
        f"PGD-{_NUM_STEPS.value}": (
            ht.objectives.Madry(epsilon=_EPSILON, num_steps=_NUM_STEPS.value),
            _EPOCHS.value,
            _LEARNING_RATE.value,
        ),
        f"Free-AT, m = {_N_REPEATS.value}": (
            ht.objectives.FreeAT(
                epsilon=_EPSILON,
                step_size=_STEP_SIZE.value,
                n_repeats=_N_REPEATS.value,
            ),
            round(_EPOCHS.value * gradients / _N_REPEATS.value),
            _FREE_LEARNING_RATE.value,
        ),
    }
    wanted = dict(zip(("pgd", "free_at"), recipes, strict=True))
    recipes = {wanted[name]: recipes[wanted[name]] for name in _RECIPES.value}
    found: dict[str, list[float]] = {name: [] for name in recipes}
    for seed in map(int, _SEEDS.value):
        for name, recipe in recipes.items():
            natural, robust = _measured(*recipe, seed)
            found[name].append(robust)
            print(
                f"{name}, seed {seed}: natural {natural:.1%}, "
                f"robust {robust:.1%}",
                flush=True,
            )
    for name, each in found.items():
        spread = statistics.stdev(each) if len(each) > 1 else 0.0
        print(
            f"{name}: {recipes[name][1]} epochs, robust "
            f"{100 * statistics.mean(each):.1f} +- {100 * spread:.1f}"
        )


def _measured(objective, epochs: int, rate: float, seed: int):
    """Returns natural and robust accuracy after the last phase."""
    import keras

    import hydra_tf as ht

    train, test = (
        ht.data.load("digits", split, batch_size=_BATCH_SIZE.value, seed=seed)
        for split in ("train", "test")
    )
    keras.utils.set_random_seed(seed)
    network = ht.models.create("digits_model", train.image_shape, 10)
    for phase in _PHASES.value:
        if phase == "prune":
            network = ht.start_pruning(network, density=_DENSITY.value)
        network = ht.training.run_phase(
            network,
            phase,
            train,
            objective,
            epochs=epochs // 2 if phase == "prune" else epochs,
            learning_rate=rate,
            lr_schedule=_LR_SCHEDULE.value,
            seed=seed,
        )
    result = ht.evaluation.evaluate(
        network,
        *test.arrays(),
        epsilon=_EPSILON,
        num_steps=50,
        num_restarts=10,
    )
    return result.natural_accuracy, result.robust_accuracy["pgd"]


if __name__ == "__main__":
    app.run(main)
