"""Binaries whose data, runs and sources are remote: TensorFlow's ram://."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import files
from tests.trainers import binaries

DATA = "--data_dir=ram://remote_run/data"
RUN = files.as_path("ram://remote_run/runs/whole")
COMMAND = (
    *binaries.TINY,
    DATA,
    "--extra_data=ram://remote_run/extra.npz",
    "--extra_fraction=0.25",
    "--profile_steps=2,3",
)


def run(name, *arguments):
    return binaries.run(name, *arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a pipeline, finished."""
    tf.io.gfile.makedirs("ram://remote_run/data")
    rng = np.random.default_rng(0)
    with files.replacing_file("ram://remote_run/extra.npz") as partial:
        np.savez(
            partial,
            images=rng.integers(0, 255, (40, 8, 8, 1), np.uint8),
            labels=rng.integers(0, 10, 40),
        )
    assert run("pipeline", *COMMAND, f"--output_dir={RUN}") == 0
    return RUN


@pytest.mark.slow
def test_run_leaves_what_a_local_one_does(whole):
    assert {path.name for path in whole.iterdir()} == {
        "README.md",
        "checkpoints",
        "densities.png",
        "events",
        "flags.txt",
        "metrics.json",
        "saved_model",
    }
    metrics = json.loads((whole / "metrics.json").read_text())
    assert metrics["dataset"]["extra_fraction"] == 0.25
    assert [*(whole / "events" / "prune").rglob("*.xplane.pb")]
    assert not pathlib.Path("ram:").exists()


@pytest.mark.slow
def test_finished_run_is_left_alone_and_others_are_refused(whole, capfd):
    # The same command, by way of the file that the run left.
    assert run("pipeline", f"--flagfile={whole}/flags.txt") == 0
    assert "finished before; nothing to do" in capfd.readouterr().out
    other = [*COMMAND, f"--output_dir={whole}", "--extra_fraction=0.5"]
    assert run("pipeline", *other) == 2
    assert "begun with --extra_fraction=0.25" in capfd.readouterr().err


@pytest.mark.slow
def test_network_is_measured_exported_and_reported(whole):
    digits = ("--dataset=digits", DATA)
    out = "--output_dir=ram://remote_run/runs"
    for source in (whole, whole / "saved_model"):
        name = source.name
        assert 0 == run(
            "evaluate",
            *digits,
            f"--source={source}",
            f"{out}/{name}_measured",
            "--eval_examples=5",
            "--eval_num_steps=1",
        )
        assert files.is_file(f"{whole.parent}/{name}_measured/metrics.json")
    assert 0 == run(
        "certify",
        *digits,
        f"--source={whole}",
        f"{out}/certified",
        "--num_examples=5",
    )
    table = (whole.parent / "certified" / "certify.tsv").read_text()
    assert len(table.splitlines()) == 7
    assert 0 == run("export", *digits, f"--source={whole}", f"{out}/exported")
    assert (whole.parent / "exported" / "saved_model").is_dir()
    assert 0 == run("report", f"--runs={whole.parent}", f"{out}/report")
    page = (whole.parent / "report" / "index.html").read_text()
    assert "hydra" in page
