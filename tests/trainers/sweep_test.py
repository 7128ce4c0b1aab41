"""The sweep as a program: its help, its processes, its end."""

import json
import resource
import signal
import subprocess
import sys

import pytest

from tests.trainers import binaries
from tests.trainers.sweeping import sweep_test


def test_help_names_the_grid_and_the_flags_of_the_pipeline():
    # Of processor time, which is that of the program alone.
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-m", "trainers.sweep", "--help"],
        cwd=binaries.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert after - before < 2
    assert done.stderr == ""
    for flag in "grid cell [no]list_cells density seed output_dir".split():
        assert f"\n  --{flag}: " in done.stdout, flag
    assert "python -m trainers.sweep --preset=digits_sweep " in done.stdout


@pytest.mark.slow
def test_sweep_is_stopped_resumed_and_shared_by_two_processes(tmp_path):
    folder = tmp_path / "sweep"
    command = (
        *sweep_test.TINY,
        "--pretrain_epochs=2",
        "--grid=method=lwm,random",
        # The last diverges.
        "--grid=finetune_learning_rate=0.01,1e30",
        f"--data_dir={tmp_path}",
        f"--output_dir={folder}",
    )
    stopped = binaries.start("sweep", *command)
    binaries.wait_until(
        lambda: list(folder.glob("pretrain/*/checkpoints/pretrain.state.npz")),
        stopped,
        seconds=240,
    )
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate(timeout=120)
    assert stopped.returncode == 128 + signal.SIGTERM
    last = err.strip().splitlines()[-1]
    assert last == (
        "sweep: stopped by SIGTERM; 4 of 4 cells remain; run the same command "
        "to resume"
    )
    assert not list(folder.glob("*/checkpoints/finetune.keras"))

    # Two jobs of an array: one pretrains, the other waits for it.
    jobs = [
        binaries.start("sweep", *command, f"--cell={number}")
        for number in (0, 2)
    ]
    outputs = [job.communicate(timeout=600) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    assert sum("waiting for " in out for out, _ in outputs) <= 1
    assert len(list(folder.glob("pretrain/*/checkpoints/pretrain.keras"))) == 1

    rest = binaries.start("sweep", *command)
    out, err = rest.communicate(timeout=600)
    assert rest.returncode == 1
    assert "2 finished before" in out
    assert "2 of 4 cells failed" in err
    assert err.count("lower --learning_rate") >= 2
    cells = json.loads((folder / "sweep.json").read_text())["cells"]
    assert [each["state"] for each in cells] == ["finished", "failed"] * 2
    assert cells[1]["error"].startswith("finetune phase, epoch 1, step")
    assert "Traceback" not in err

    alone = tmp_path / "alone"
    flags = [f"--{name}={value}" for name, value in cells[0]["flags"].items()]
    assert binaries.run("pipeline", *flags, f"--output_dir={alone}") == 0
    for phase in ("pretrain", "prune", "finetune"):
        sweep_test.assert_equal(folder / cells[0]["name"], alone, phase)
