"""Evaluations from the command line: several networks, resuming, own attacks."""

import importlib
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import hydra_tf as ht
from tests.trainers import binaries
from tests.trainers import networks


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


@pytest.fixture(scope="module")
def model(data_dir):
    return networks.trained_on_digits(data_dir)


@pytest.fixture(scope="module")
def source(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "net.keras"
    model.save(path)
    return path


@pytest.fixture
def command(source, data_dir):
    """The flags of an evaluation that takes seconds."""
    return (
        f"--source={source}",
        "--dataset=digits",
        f"--data_dir={data_dir}",
        "--epsilon=0.05",
        "--eval_attacks=pgd,pgd_margin",
        "--eval_num_steps=150",
        "--eval_num_restarts=8",
        "--eval_examples=100",
        "--eval_batch_size=10",
        "--eval_certify=ibp",
    )


def figures(folder):
    """Returns what was measured, without the time it took."""
    content = json.loads((folder / "metrics.json").read_text())
    measured = content["phases"]["evaluate"]
    del measured["evaluation_seconds"]
    return measured


def states(folder):
    return sorted(path.name for path in folder.glob(".evaluation-*"))


@pytest.mark.slow
def test_killed_it_resumes_with_the_same_figures(command, tmp_path):
    folder = tmp_path / "killed"
    arguments = (*command, f"--output_dir={folder}")
    killed = binaries.start("evaluate", *arguments)
    binaries.wait_until(lambda: states(folder), killed)
    killed.kill()
    killed.communicate(timeout=60)
    assert not (folder / "metrics.json").exists()
    (state,) = folder.glob(".evaluation-*")
    parts = json.loads(state.read_text())["parts"]
    assert parts["pgd attack"]["position"] or parts["pgd attack"]["restart"]
    assert binaries.run("evaluate", *arguments) == 0
    assert states(folder) == []
    whole = tmp_path / "whole"
    assert binaries.run("evaluate", *command, f"--output_dir={whole}") == 0
    assert figures(folder) == figures(whole)


@pytest.mark.slow
def test_settings_may_change_while_it_is_stopped(command, tmp_path):
    (tmp_path / ".evaluation-evaluate-0123456789abcdef.json").write_text("{")
    (tmp_path / ".evaluation-prune-0123456789abcdef.json").write_text("{")
    code = binaries.run(
        "evaluate",
        *command,
        "--eval_attacks=fgsm",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    # That of another phase is not its own.
    assert states(tmp_path) == [".evaluation-prune-0123456789abcdef.json"]


@pytest.mark.slow
def test_console_command_runs_an_attack_of_one_s_own(
    command, model, data_dir, tmp_path
):
    (tmp_path / "mine.py").write_text(
        "import tensorflow as tf\n\n\n"
        "def brighten(model, x, y, *, epsilon):\n"
        "    return tf.clip_by_value(x + epsilon, 0.0, 1.0)\n"
    )
    script = tmp_path / "hydra-tf-evaluate"
    script.write_text("import hydra_tf_console as c\nc.main()\n")
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            *command,
            "--eval_attacks=mine:brighten",
            f"--output_dir={tmp_path / 'run'}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(binaries.ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "robust (mine:brighten)" in done.stdout
    images, labels = ht.data.load(
        "digits", "test", batch_size=64, data_dir=data_dir
    ).arrays(100)
    right, brighter = (
        np.argmax(model.predict(x, verbose=0), axis=1) == labels
        for x in (images, np.clip(images + np.float32(0.05), 0, 1))
    )
    measured = figures(tmp_path / "run")
    assert measured["robust_accuracy"] == {
        "mine:brighten": np.mean(right & brighter)
    }
    run = json.loads((tmp_path / "run" / "metrics.json").read_text())["run"]
    assert run["command"].startswith("hydra-tf-evaluate --source=")


ATTACK = """
import tensorflow as tf

from hydra_tf import interrupts

batches = []
stop_at = None


def brighten(model, x, y, *, epsilon):
    # Not when it is tried out.
    if len(x) == 10:
        batches.append(model)
        if len(batches) == stop_at:
            raise interrupts.Interrupted(2)
    return tf.clip_by_value(x + epsilon, 0.0, 1.0)
"""


@pytest.fixture
def attack(tmp_path, monkeypatch):
    """The module `odd_attack`."""
    (tmp_path / "odd_attack.py").write_text(ATTACK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("odd_attack")
    del sys.modules["odd_attack"]


@pytest.fixture
def three(model, tmp_path):
    """The flags of three networks, two with the same name and a SavedModel."""
    files = [tmp_path / name / "net.keras" for name in ("first", "second")]
    other = keras.models.clone_model(model)
    other.set_weights([0.9 * weights for weights in model.get_weights()])
    for file, network in zip(files, (model, other), strict=True):
        file.parent.mkdir()
        network.save(file)
    ht.export_saved_model(model, tmp_path / "served")
    return (
        f"--source={','.join(map(str, files))}",
        f"--source={tmp_path / 'served'}",
    )


def networks_of(folder):
    """Returns the entries of the networks, without the time they took."""
    entries = json.loads((folder / "metrics.json").read_text())["networks"]
    for entry in entries.values():
        assert entry.pop("evaluation_seconds") >= 0
    return entries


def test_stopped_in_the_second_of_three_it_goes_on_there(
    attack, command, three, tmp_path, capfd
):
    def evaluate(folder, stop_at=None):
        attack.batches.clear()
        attack.stop_at = stop_at
        return binaries.run(
            "evaluate",
            *three,
            *command[1:-1],
            "--eval_attacks=odd_attack:brighten",
            "--eval_examples=60",
            f"--output_dir={tmp_path / folder}",
        )

    assert evaluate("whole") == 0
    whole = len(attack.batches)
    first = attack.batches.count(attack.batches[0])
    assert first > 3
    assert evaluate("killed", stop_at=first + 3) == 130
    assert not (tmp_path / "killed" / "metrics.json").exists()
    assert evaluate("killed") == 0
    # All but the first network and two batches of the second.
    assert len(attack.batches) == whole - first - 2
    assert states(tmp_path / "killed") == []
    entries = networks_of(tmp_path / "whole")
    assert networks_of(tmp_path / "killed") == entries
    assert [(name, entry["source"]) for name, entry in entries.items()] == [
        (name, str(tmp_path / name))
        for name in ("first/net.keras", "second/net.keras", "served")
    ]
    table, again = (
        (tmp_path / name / "examples.tsv").read_text()
        for name in ("whole", "killed")
    )
    assert table == again
    check_rows(table, entries)
    shown = capfd.readouterr().out
    assert "(2 of 3)" in shown and "95 % interval" in shown
    assert all(f"\n{name}  " in shown for name in entries)


def check_rows(table, entries):
    """Checks that the rows of `examples.tsv` make up the figures."""
    header, *rows = (line.split("\t") for line in table.splitlines())
    rows = [dict(zip(header, row, strict=True)) for row in rows]
    assert len(rows) == 60 * len(entries)
    for name, entry in entries.items():
        own = [row for row in rows if row["network"] == name]
        assert [row["index"] for row in own] == [str(i) for i in range(60)]
        (attack,) = entry["robust_accuracy"]
        for column, share in (
            ("correct", entry["natural_accuracy"]),
            (f"robust.{attack}", entry["robust_accuracy"][attack]),
        ):
            assert np.mean([int(row[column]) for row in own]) == share
        assert all(
            (row["label"] == row["predicted"]) == (row["correct"] == "1")
            for row in own
        )
