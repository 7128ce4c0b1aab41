"""Sweeps from end to end: what runs, what is kept, what is refused."""

import json
import signal

import keras
import numpy as np
import pytest

from hydra_tf import interrupts
from tests.trainers import binaries
from trainers.run.folder import RunFolder
from trainers.sweeping import locks
from trainers.sweeping import plan
from trainers.sweeping import process

GRID = ("--grid=method=lwm,random", "--grid=seed=0,1")
NAMES = [
    "method=lwm+seed=0",
    "method=lwm+seed=1",
    "method=random+seed=0",
    "method=random+seed=1",
]
TINY = (
    "--dataset=digits",
    "--model=tests.trainers.sweeping.sweep_test:tiny_network",
    "--fraction=0.02",
    "--batch_size=16",
    "--objective=natural",
    "--epsilon=0.1",
    "--pretrain_epochs=1",
    "--finetune_epochs=1",
    "--density=0.5",
    "--eval_attacks=fgsm",
    "--eval_examples=10",
    "--tensorboard_images=0",
)


def tiny_network(input_shape, num_classes):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu", name="first"),
            keras.layers.Dense(num_classes, name="last"),
        ]
    )


class Faked:
    """Stands for the binaries: notes what runs, leaves what a run leaves."""

    def __init__(self):
        self.ran = []
        self.failing = {}

    def __call__(self, binary, arguments, keep=()):
        folder = RunFolder(arguments[-1].removeprefix("--output_dir="))
        seed = folder.path.name.partition("seed=")[2][0]
        self.ran.append((binary, folder.path.name))
        for name, failure in self.failing.items():
            if name in folder.path.name and binary == "pipeline":
                if isinstance(failure, BaseException):
                    raise failure
                return failure
        phase = "pretrain" if binary == "pretrain" else "finetune"
        if binary == "pretrain":
            for suffix in ("keras", "settings.json", "history.json"):
                path = folder.path / "checkpoints" / f"pretrain.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"seed {seed}")
        folder.merge_metrics(
            {
                "phases": {phase: {"natural_accuracy": 0.5 + int(seed) / 10}},
                "sparsity": {"density": 0.5},
                "artifacts": {
                    "saved_model": {"bytes": 1, "compressed_bytes": 1}
                },
            }
        )
        folder.saved_model.mkdir(exist_ok=True)

    @property
    def cells(self):
        return [name for binary, name in self.ran if binary == "pipeline"]


@pytest.fixture
def faked(monkeypatch):
    fake = Faked()
    monkeypatch.setattr(process, "run", fake)
    # Networks and images are checked in tests/mistakes/sweeps.py and below.
    monkeypatch.setattr(plan, "_check_networks", lambda *_: None)
    return fake


@pytest.fixture
def sweep(tmp_path):
    """Runs a sweep of four cells into the same folder each time."""

    def run(*arguments, grid=GRID):
        return binaries.run(
            "sweep",
            *TINY,
            *grid,
            f"--data_dir={tmp_path}",
            f"--output_dir={tmp_path / 'sweep'}",
            *arguments,
        )

    return run


def states(tmp_path):
    cells = json.loads((tmp_path / "sweep" / "sweep.json").read_text())["cells"]
    return [each["state"] for each in cells]


def test_cells_run_in_order_and_seeds_pretrain_once(
    faked, sweep, tmp_path, capfd
):
    assert sweep() == 0
    assert faked.cells == NAMES
    pretrained = [name for binary, name in faked.ran if binary == "pretrain"]
    assert len(pretrained) == 2
    # Before the first cell that needs it.
    assert [binary for binary, _ in faked.ran][:4] == [
        "pretrain",
        "pipeline",
    ] * 2
    for name in NAMES:
        copied = tmp_path / "sweep" / name / "checkpoints" / "pretrain.keras"
        assert copied.read_text() == f"seed {name[-1]}"
    out = capfd.readouterr().out
    assert "4 cells: method=lwm,random  seed=0,1" in out
    assert "[4/4] cell 3 (method=random+seed=1)" in out
    assert "lwm        2  55.0 +- 7.1 %" in out
    content = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    first = content["cells"][0]
    assert (first["name"], first["error"]) == (NAMES[0], None)
    assert first["flags"]["method"] == "lwm"
    assert states(tmp_path) == ["finished"] * 4
    table = (tmp_path / "sweep" / "sweep.tsv").read_text().splitlines()
    assert len(table) == 5 and table[4].endswith("\t0.6\t0.5\t" + NAMES[3])

    # Again: nothing is left to do, until cells are added.
    assert sweep() == 0
    assert len(faked.cells) == 4
    assert "4 finished before" in capfd.readouterr().out
    grid = ("--grid=method=lwm,random,snip", "--grid=seed=1,0")
    assert sweep("--progress=none", grid=grid) == 0
    assert faked.cells[4:] == ["method=snip+seed=1", "method=snip+seed=0"]


def test_what_fails_is_named_and_the_rest_goes_on(
    faked, sweep, tmp_path, capfd
):
    faked.failing["method=lwm+seed=1"] = "ended by SIGSEGV"
    assert sweep() == 1
    assert faked.cells == NAMES
    out, err = capfd.readouterr()
    assert err == (
        "1 of 4 cells failed; the same command tries them again:\n"
        "  method=lwm+seed=1: ended by SIGSEGV\n"
    )
    assert "3 of 4 cells:" in out
    assert states(tmp_path) == ["finished", "failed", "finished", "finished"]
    content = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert content["cells"][1]["error"] == "ended by SIGSEGV"
    del faked.failing["method=lwm+seed=1"]
    assert sweep() == 0
    assert faked.cells[4:] == ["method=lwm+seed=1"]
    assert states(tmp_path) == ["finished"] * 4


@pytest.mark.parametrize(
    "flags, but",
    [
        ((), ""),
        (("--overwrite",), ", without --overwrite, which starts anew"),
    ],
)
def test_stopped_sweep_says_how_to_resume(
    flags, but, faked, sweep, tmp_path, capfd
):
    stop = interrupts.Interrupted(signal.SIGINT)
    faked.failing["method=lwm+seed=1"] = stop
    assert sweep(*flags) == 128 + signal.SIGINT
    assert capfd.readouterr().err == (
        "sweep: stopped by Ctrl-C; 3 of 4 cells remain; run the same command "
        f"to resume{but}\n"
    )
    assert states(tmp_path) == ["finished", "stopped", "waiting", "waiting"]


def test_job_of_an_array_runs_its_cell(faked, sweep, tmp_path, capfd):
    assert sweep("--cell=2") == 0
    assert faked.cells == [NAMES[2]]
    capfd.readouterr()
    assert sweep("--list_cells") == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        [str(number), name, "finished" if number == 2 else "waiting"]
        for number, name in enumerate(NAMES)
    ]
    # One that another job is running is left to it.
    with locks.held(tmp_path / "sweep" / ".locks" / NAMES[1]):
        assert sweep() == 0
    assert faked.cells[1:] == [NAMES[0], NAMES[3]]
    assert "another process is running it" in capfd.readouterr().out


def test_begun_sweep_is_not_changed(faked, sweep, tmp_path, capfd):
    assert sweep() == 0
    before = len(faked.ran)
    for arguments, words in (
        (
            ["--finetune_epochs=2"],
            "--finetune_epochs=1, not --finetune_epochs=2",
        ),
        (["--grid=seed=0"], "method=lwm+seed=1 that --grid no longer has"),
        (["--cell=4"], "the grid has 4 cells, numbered from 0 to 3"),
        (["--cell=0", "--overwrite"], "give it without --cell=0"),
    ):
        assert sweep(*arguments) == 2
        err = capfd.readouterr().err
        assert err.startswith("sweep: error: ") and err.count("\n") == 1
        assert words in err
    assert len(faked.ran) == before
    assert sweep("--finetune_epochs=2", "--overwrite") == 0
    assert len(faked.ran) == 2 * before


def assert_equal(first, second, phase):
    networks = [
        keras.saving.load_model(folder / "checkpoints" / f"{phase}.keras")
        for folder in (first, second)
    ]
    for one, other in zip(*(each.weights for each in networks), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_cell_ends_with_the_weights_of_a_run_of_its_own(
    monkeypatch, sweep, tmp_path
):
    ran = []

    def in_process(binary, arguments, keep=()):
        ran.append(binary)
        return binaries.run(binary, *arguments) or None

    monkeypatch.setattr(process, "run", in_process)
    # Finetuning, which takes longer: tests/trainers/sweep_test.py.
    short = "--finetune_epochs=0"
    assert sweep(short, grid=("--grid=method=random",)) == 0
    assert ran == ["pretrain", "pipeline"]
    alone = tmp_path / "alone"
    code = binaries.run(
        "pipeline",
        *TINY,
        short,
        "--method=random",
        f"--data_dir={tmp_path}",
        f"--output_dir={alone}",
    )
    assert code == 0
    cell = tmp_path / "sweep" / "method=random"
    for phase in ("pretrain", "prune"):
        assert_equal(cell, alone, phase)
    first, second = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (cell, alone)
    )
    assert first.keys() == second.keys()
    assert first["sparsity"] == second["sparsity"]
    assert first["attacks"] == second["attacks"]
    for phase, entry in first["phases"].items():
        for key in ("natural_accuracy", "robust_accuracy", "epochs"):
            assert entry[key] == second["phases"][phase][key]
