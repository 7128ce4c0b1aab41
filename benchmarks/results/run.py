"""Runs the cells of a study that are missing, several at once.

    python -m benchmarks.results.run --study=digits --select
    python -m benchmarks.results.run --study=digits --final
    python -m benchmarks.results.run --study=cifar10 --final \
        --network=cifar_model_large --seeds=0 --data_dir=DIR

`--select` tries the settings of every method on held-out training images,
`--final` measures the best of them on the test images; with both, the second
follows the first. What was not selected with a network, an objective or at a
density has the settings of another, or of the nearest density. Every cell's
figures are appended to `benchmarks/results/<study>.tsv`. Stop it as you like:
the same command goes on. Pretrained networks and unfinished cells are kept in
`--work`.

A process trains several cells with one thread: two processes of one thread
finish more than one of two (by a tenth to a sixth, `cifar_model_large`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

if not __package__:  # Run by its path: the checkout is not on the path yet.
    sys.path.insert(
        0, os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    )

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app
from absl import flags

from benchmarks.results import methods
from benchmarks.results import rows
from benchmarks.results.place import Place
from benchmarks.results.plan import Plan
from benchmarks.results.studies import STUDIES
from benchmarks.results.workers import Workers
from hydra_tf import interrupts
from hydra_tf.errors import InputError

# Its own, so that it can be imported beside the programs' flags.
_FLAGS = flags.FlagValues()
_STUDY = flags.DEFINE_enum(
    "study", "digits", sorted(STUDIES), "What to study.", flag_values=_FLAGS
)
_SELECT = flags.DEFINE_bool(
    "select",
    False,
    "Whether to choose settings on held-out training images.",
    flag_values=_FLAGS,
)
_FINAL = flags.DEFINE_bool(
    "final",
    False,
    "Whether to measure the best on the test images.",
    flag_values=_FLAGS,
)
_NETWORK = flags.DEFINE_string(
    "network",
    None,
    "Network; by default the study's first.",
    flag_values=_FLAGS,
)
_OBJECTIVE = flags.DEFINE_string(
    "objective",
    None,
    "Objective; by default the study's first.",
    flag_values=_FLAGS,
)
_METHODS = flags.DEFINE_list(
    "methods",
    [],
    "Methods; by default all that this version has.",
    flag_values=_FLAGS,
)
_DENSITIES = flags.DEFINE_list(
    "densities", [], "Densities; by default the study's.", flag_values=_FLAGS
)
_SEEDS = flags.DEFINE_list(
    "seeds", ["0", "1", "2"], "Seeds.", flag_values=_FLAGS
)
_EPOCHS = flags.DEFINE_list(
    "epochs",
    [],
    "Epochs to pretrain, prune and finetune; by default the study's.",
    flag_values=_FLAGS,
)
_NUM_TEST = flags.DEFINE_integer(
    "num_test",
    None,
    "Test images for --final, the first; by default the study's.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_JOBS = flags.DEFINE_integer(
    "jobs", 2, "Cells at once.", lower_bound=1, flag_values=_FLAGS
)
_THREADS = flags.DEFINE_integer(
    "threads", 1, "Threads each.", lower_bound=1, flag_values=_FLAGS
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of tensorflow-datasets, for cifar10.",
    flag_values=_FLAGS,
)
_WORK = flags.DEFINE_string(
    "work",
    os.path.join(tempfile.gettempdir(), "hydra_tf_results"),
    "Folder for pretrained networks and unfinished cells.",
    flag_values=_FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "File of the rows; by default the study's.",
    flag_values=_FLAGS,
)
_LIST = flags.DEFINE_bool(
    "list",
    False,
    "Whether to list the cells that can be trained now, only.",
    flag_values=_FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs what the flags ask for."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    # Or processes that train would go on after SIGTERM.
    interrupts.install_handlers()
    try:
        for purpose in _purposes():
            _run(_plan(purpose))
    except InputError as error:
        sys.exit(f"run: {error}")
    except interrupts.Interrupted as stopped:
        print("run: stopped; the same command goes on", file=sys.stderr)
        sys.exit(128 + stopped.signal_number)


def _purposes() -> list[str]:
    wanted = {"selection": _SELECT.value, "final": _FINAL.value}
    if not any(wanted.values()):
        raise InputError("give --select, --final or both")
    return [purpose for purpose, given in wanted.items() if given]


def _plan(purpose: str) -> Plan:
    """Returns what the flags ask for.

    Raises:
        InputError: If they cannot be used.
    """
    study = STUDIES[_STUDY.value]
    known = methods.of_study(study)
    for name in _METHODS.value:
        if name not in known or not known[name].is_there:
            raise InputError(
                f"--methods={name} must be one of "
                + ", ".join(n for n, each in known.items() if each.is_there)
            )
    chosen = [known[name] for name in _METHODS.value] or [
        method for method in known.values() if method.is_there
    ]
    epochs = _numbers(_EPOCHS, int) or study.epochs
    if len(epochs) != 3 or min(epochs) < 0:
        raise InputError(f"--epochs must be three numbers, not {epochs}")
    densities = _numbers(_DENSITIES, float) or study.densities
    if not all(0 < density <= 1 for density in densities):
        raise InputError(f"--densities must be in (0, 1], not {densities}")
    objective = _OBJECTIVE.value or next(iter(study.objectives))
    if objective not in study.objectives:
        raise InputError(
            f"--objective={objective} must be one of "
            + ", ".join(study.objectives)
        )
    network = _NETWORK.value or study.networks[0]
    if network not in study.networks:
        raise InputError(
            f"--network={network} must be one of " + ", ".join(study.networks)
        )
    return Plan(
        study=study.name,
        network=network,
        objective=objective,
        purpose=purpose,
        epochs=epochs,
        methods=chosen,
        densities=densities,
        seeds=_numbers(_SEEDS, int),
    )


def _numbers(flag, kind) -> tuple:
    try:
        return tuple(kind(each) for each in flag.value)
    except ValueError:
        raise InputError(
            f"--{flag.name} must be numbers, not {','.join(flag.value)}"
        ) from None


def _run(plan: Plan) -> None:
    """Trains and measures what is missing."""
    path = _OUTPUT.value or rows.path_of(plan.study)
    done = rows.read(path)
    if _LIST.value:
        for cell in plan.ready(done):
            print(*_described(cell))
        return
    started, failures = time.monotonic(), []

    def report(cell, row, error):
        if row is None:
            failures.append(cell)
            print("FAILED", *_described(cell), error, sep="\n", flush=True)
            return
        done.append(row)
        rows.append(path, row)
        print(
            f"{(time.monotonic() - started) / 60:.0f} min",
            *_described(cell),
            f"{100 * row.natural:.1f}/{100 * row.worst:.1f}",
            f"CPU s {row.train_seconds:.0f}+{row.measure_seconds:.0f}",
            row.note,
            flush=True,
        )

    place = Place(_WORK.value, _DATA_DIR.value)
    workers = Workers(
        _JOBS.value, _THREADS.value, place, _commit(), _NUM_TEST.value
    )
    workers.run_all(lambda: _first_pretrained(plan.ready(done), place), report)
    if failures:
        sys.exit(f"{len(failures)} cells failed; the same command tries again")


def _first_pretrained(cells, place):
    """Returns the cells that need not wait for another to pretrain for them."""
    cells = list(cells)
    pretrained_by_others = {
        place.pretrained(cell)
        for cell in cells
        if cell.method == methods.UNPRUNED
    }
    return [
        cell
        for cell in cells
        if cell.method == methods.UNPRUNED
        or not cell.phases[0]
        or place.pretrained(cell).exists()
        or place.pretrained(cell) not in pretrained_by_others
    ]


def _described(cell) -> tuple[str, ...]:
    return (
        cell.purpose,
        cell.network,
        cell.method,
        f"{cell.density:g}",
        f"seed {cell.seed}",
        cell.settings,
    )


def _commit() -> str:
    """Returns the commit of the code, with a `+` if it was changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(rows.FOLDER), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", "*.py")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


if __name__ == "__main__":
    flags.FLAGS.append_flag_values(_FLAGS)
    _FLAGS.mark_as_parsed()
    app.run(main)
