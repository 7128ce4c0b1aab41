"""How long recipes take to HYDRA's own robust accuracy.

    python -m benchmarks.time_to_accuracy --study=digits --seeds=0,1,2
    python -m benchmarks.time_to_accuracy --study=cifar10 --data_dir=DIR \
        --recipe="short=--method=lwm --pretrain_epochs=5 --finetune_epochs=20"

A recipe is a list of flags of `trainers.pipeline`. Each runs in full and with
the `--shares` of its epochs, one after the other on an idle machine, on 80 % of
the training images; robust accuracy is that on the other 20 %, so that a recipe
can be chosen by it. (`--final` takes all of them and the test images.) Prints
the wall-clock of the epochs of all phases, without evaluation, and for every
recipe the shortest course whose mean robust accuracy is not below that of the
first recipe, HYDRA, in full. A seed is good to two points: take several.

Runs are kept in `--output_dir`; the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app
from absl import flags

from benchmarks.figures import percent

_STUDY = flags.DEFINE_enum("study", "digits", ["digits", "cifar10"], "Images.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_SHARES = flags.DEFINE_list(
    "shares", ["1", "0.7", "0.5", "0.25"], "Shares of a recipe's epochs to run."
)
_RECIPES_WANTED = flags.DEFINE_list(
    "recipes", [], "Names of recipes; by default all."
)
_RECIPE = flags.DEFINE_multi_string(
    "recipe", [], "One more recipe, NAME=FLAGS of trainers.pipeline."
)
_ATTACK = flags.DEFINE_string("attack", "pgd_margin", "What measures.")
_FINAL = flags.DEFINE_bool(
    "final", False, "Whether to train on all images and measure on test images."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of tensorflow-datasets, for cifar10."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "runs/time_to_accuracy", "Folder for the runs."
)

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PHASES = ("pretrain", "prune", "finetune")

_COMMON = {
    "digits": "--model=digits_model --epsilon=0.15 --density=0.05",
    "cifar10": "--model=cifar_model --epsilon=8/255 --density=0.05 "
    "--weight_decay=5e-4 --eval_examples=2000",
}
_PGD = {
    "digits": "--objective=madry --step_size=0.0375 --num_steps=7",
    "cifar10": "--objective=trades --step_size=2/255 --num_steps=10",
}
# Fewer and longer steps.
_CHEAP = {
    "digits": "--objective=madry --step_size=0.05 --num_steps=5",
    "cifar10": "--objective=fgsm --noise_magnitude=2",
}
_EPOCHS = {"digits": (40, 20, 40), "cifar10": (8, 4, 8)}
# The one that `benchmarks.results` pretrains with; the default suits networks
# with batch normalisation.
_PRETRAIN_RATE = {"digits": "", "cifar10": "--pretrain_learning_rate=0.03"}
# Epochs on clean images, and of pruning after them.
_NATURAL_EPOCHS = {"digits": (20, 50), "cifar10": (2, 18)}
# Of the one schedule, and for CIFAR-10 the radius of training; chosen by
# `benchmarks.results`.
_ONE_CYCLE = {
    "digits": "--method=live_paths --prune_learning_rate=0.3 "
    "--lr_schedule=one_cycle",
    "cifar10": "--method=live_paths --prune_learning_rate=0.1 "
    "--allocation=global --lr_schedule=one_cycle "
    "--epsilon=12/255 --eval_epsilon=8/255",
}
_HYDRA = "--method=hydra --prune_learning_rate=0.3 --finetune_learning_rate=0.1"
# HYDRA is what the others are compared with. Recipes whose flags this version
# does not have are left out.
_RECIPES = {
    "hydra": f"PGD THREE {_HYDRA}",
    "hydra_cheap": f"CHEAP THREE {_HYDRA}",
    "lwm_cheap": "CHEAP TWO --method=lwm --allocation=erk "
    "--finetune_learning_rate=0.1",
    "live_paths": "PGD ONE CYCLE",
    "live_paths_cheap": "CHEAP ONE CYCLE",
    "natural_first": "PGD NATURAL CYCLE",
    "natural_first_cheap": "CHEAP NATURAL CYCLE",
    "natural_first_bfloat16": "CHEAP NATURAL CYCLE --precision=mixed_bfloat16",
}


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    recipes = _recipes()
    found = {
        (name, share): [
            _run(name, given, float(share), int(seed)) for seed in _SEEDS.value
        ]
        for name, given in recipes.items()
        for share in _SHARES.value
    }
    print(_report(list(recipes), found))


def _recipes() -> dict[str, list[str]]:
    """Returns the flags of each recipe that can be run."""
    recipes = {
        name: _expanded(text)
        for name, text in _RECIPES.items()
        if not _RECIPES_WANTED.value
        or name in ("hydra", *_RECIPES_WANTED.value)
    }
    for name in list(recipes):
        if not _is_known(recipes[name]):
            print(f"{name}: this version lacks one of {recipes.pop(name)}")
    for text in _RECIPE.value:
        name, equals, given = text.partition("=")
        recipes[name] = _expanded(given)
        if not (equals and _is_known(recipes[name])):
            sys.exit(f"--recipe={text!r}: these are no flags of the pipeline")
    return recipes


def _expanded(text: str) -> list[str]:
    """Returns a recipe's flags, those that stand for several written out."""
    pretrain, prune, finetune = _EPOCHS[_STUDY.value]
    rate = _PRETRAIN_RATE[_STUDY.value]
    for name, meaning in {
        "PGD": _PGD[_STUDY.value],
        "CHEAP": _CHEAP[_STUDY.value],
        "THREE": f"{rate} " + _epochs(pretrain, prune, finetune),
        "TWO": f"{rate} " + _epochs(pretrain, 0, prune + finetune),
        "ONE": _epochs(0, pretrain + prune + finetune, 0),
        "NATURAL": "--pretrain_objective=natural --pretrain_learning_rate=0.05 "
        + _epochs(*_NATURAL_EPOCHS[_STUDY.value], 0),
        "CYCLE": _ONE_CYCLE[_STUDY.value],
    }.items():
        text = text.replace(name, meaning)
    return shlex.split(text)


def _epochs(*counts: int) -> str:
    return " ".join(
        f"--{phase}_epochs={count}"
        for phase, count in zip(_PHASES, counts, strict=True)
    )


def _command(given: list[str], folder: pathlib.Path, seed: int) -> list[str]:
    study = _STUDY.value
    dataset = study
    if not _FINAL.value:
        dataset = f"benchmarks.held_out:{study}"
    elif _DATA_DIR.value:
        given = [*given, f"--data_dir={_DATA_DIR.value}"]
    return [
        *(sys.executable, "-m", "trainers.pipeline", f"--dataset={dataset}"),
        *shlex.split(_COMMON[study]),
        *given,
        *(f"--eval_attacks={_ATTACK.value}", f"--seed={seed}"),
        f"--output_dir={folder}",
    ]


def _is_known(given: list[str]) -> bool:
    """Whether the pipeline takes the flags of a recipe."""
    command = _command(given, pathlib.Path("runs/unused"), 0)
    return not _call([*command, "--only_check_args"]).returncode


def _call(command: list[str]) -> subprocess.CompletedProcess:
    environment = dict(os.environ)
    if _DATA_DIR.value:
        # For `benchmarks.held_out`, whose functions take no arguments.
        environment["TFDS_DATA_DIR"] = os.path.expanduser(_DATA_DIR.value)
    return subprocess.run(
        command,
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def _run(
    name: str, given: list[str], share: float, seed: int
) -> dict[str, float]:
    """Returns the figures of a recipe with a share of its epochs."""
    course = "-".join([*name.replace(",", "").split(), f"{share:g}", str(seed)])
    if _FINAL.value:
        course += "-final"
    folder = pathlib.Path(_OUTPUT_DIR.value).absolute() / _STUDY.value / course
    done = _call(_command(_shortened(given, share), folder, seed))
    if done.returncode:
        sys.exit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    phases = json.loads((folder / "metrics.json").read_text())["phases"]
    last = next(phases[name] for name in reversed(_PHASES) if name in phases)
    result = {
        "seconds": sum(each.get("seconds", 0.0) for each in phases.values()),
        "natural": last["natural_accuracy"],
        "robust": last["robust_accuracy"][_ATTACK.value],
    }
    print(f"{name}, {share:g} of its epochs, seed {seed}: {result}", flush=True)
    return result


def _shortened(given: list[str], share: float) -> list[str]:
    """Returns flags with a share of the epochs, at least one where any."""
    result = []
    for flag in given:
        name, _, value = flag.partition("=")
        if name in {f"--{phase}_epochs" for phase in _PHASES} and int(value):
            flag = f"{name}={max(round(share * int(value)), 1)}"
        result.append(flag)
    return result


def _report(names: list[str], found: dict) -> str:
    """Returns the table, and the shortest course of each recipe."""
    from hydra_tf import text

    shares = sorted(_SHARES.value, key=float)
    target = found[names[0], shares[-1]]
    whole, wanted = _mean(target, "seconds"), _mean(target, "robust")
    lines, shortest = [], []
    for name in names:
        reached = None
        for share in shares:
            runs = found[name, share]
            seconds, robust = _mean(runs, "seconds"), _mean(runs, "robust")
            if robust >= wanted and reached is None:
                reached = share
                shortest.append(
                    f"{name}: {share} of its epochs, {seconds:.0f} s, "
                    f"{seconds / whole:.2f} of HYDRA's time"
                )
            lines.append(
                [
                    f"{name}, {share}",
                    f"{seconds:.0f}",
                    f"{seconds / whole:.2f}",
                    f"{100 * _mean(runs, 'natural'):.1f}",
                    percent(run["robust"] for run in runs),
                    "yes" if robust >= wanted else "no",
                ]
            )
        if reached is None:
            shortest.append(f"{name}: not reached")
    header = ["recipe, share", "seconds", "of HYDRA's", "natural %"]
    header += [f"{_ATTACK.value} %", "reached"]
    return "\n".join(
        [text.markdown_table(header, lines), "", *sorted(shortest)]
    )


def _mean(runs: list[dict[str, float]], name: str) -> float:
    return statistics.mean(run[name] for run in runs)


if __name__ == "__main__":
    app.run(main)
