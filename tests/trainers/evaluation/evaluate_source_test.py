"""Evaluations from the command line: several networks, resuming."""

import importlib
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.registry.attacks import ATTACKS
from tests.trainers import binaries
from tests.trainers import networks
from trainers.run import finished_network


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
def three(data_dir, tmp_path):
    """The flags of three networks, two with the same name and a SavedModel."""
    model = networks.nearest_mean(data_dir)
    files = [tmp_path / name / "net.keras" for name in ("first", "second")]
    other = keras.models.clone_model(model)
    kernel, bias = model.get_weights()
    other.set_weights([kernel, 0.9 * bias])
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
    attack, three, data_dir, tmp_path, capfd, monkeypatch
):
    checked = []

    def sanity(network, images, labels, settings, *, progress):
        checked.append(network)
        check = ht.evaluation.Check(
            name="more_steps", passed=True, finding="no weaker"
        )
        return ht.evaluation.Sanity(
            checks=(check,), attack={}, num_examples=len(labels), seconds=0.0
        )

    monkeypatch.setattr(ht.evaluation, "sanity", sanity)

    def evaluate(folder, stop_at=None):
        attack.batches.clear()
        attack.stop_at = stop_at
        return binaries.run(
            "evaluate",
            *three,
            "--dataset=digits",
            f"--data_dir={data_dir}",
            "--epsilon=0.05",
            "--eval_batch_size=10",
            "--eval_attacks=odd_attack:brighten",
            "--eval_examples=60",
            "--sanity",
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
    assert len(checked) == 6
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
    for name in entries:
        assert f"\n{name}  " in shown and f"Sanity of {name}:\n" in shown
    assert "ok      more steps  no weaker" in shown
    found = json.loads((tmp_path / "killed" / "metrics.json").read_text())
    assert found["sanity"].keys() == entries.keys()
    assert all(each["passed"] for each in found["sanity"].values())


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


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    """The network as the SavedModels of this library, Keras and TensorFlow."""
    folder = tmp_path_factory.mktemp("served")
    ht.export_saved_model(model, folder / "own")
    model.export(folder / "keras", verbose=False)
    tf.saved_model.save(model, folder / "tensorflow")
    return [
        finished_network.load(str(folder / name), ht.data.info("digits"))
        for name in ("own", "keras", "tensorflow")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS.names)
def test_saved_models_have_the_figures_of_the_network(
    attack, model, served, data_dir
):
    images, labels = ht.data.load(
        "digits", "test", batch_size=64, data_dir=data_dir
    ).arrays(40)
    threat_model = ATTACKS.entry(attack).threat_models[0]
    results = [
        ht.evaluation.evaluate(
            network,
            images,
            labels,
            attacks=[attack],
            epsilon={"linf": 0.08, "l2": 0.5}[threat_model],
            threat_model=threat_model,
            num_steps=5,
            num_restarts=2,
        )
        for network in (model, *(each.network for each in served))
    ]
    assert 0 < results[0].robust_accuracy[attack] < 1
    for result in results[1:]:
        assert result.examples() == results[0].examples()
        assert result.curves == results[0].curves


@pytest.mark.slow
def test_custom_gradients_survive_in_a_saved_model(tmp_path, data_dir):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="silu"),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("gelu"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    ht.export_saved_model(model, tmp_path / "served")
    source = finished_network.load(
        str(tmp_path / "served"), ht.data.info("digits")
    )
    source.check_gradients(ht.data.info("digits"))
    images = tf.random.stateless_uniform((8, 8, 8, 1), (1, 2))
    labels = tf.argmax(model(images), -1)
    attacked = [
        ht.attacks.pgd(
            each,
            images,
            labels,
            epsilon=0.1,
            step_size=0.03,
            num_steps=4,
            seed=3,
        )
        for each in (model, source.network)
    ]
    np.testing.assert_array_equal(*attacked)


@pytest.mark.slow
def test_killed_in_the_second_autoattack_of_three_it_resumes(
    three, data_dir, tmp_path
):
    command = (
        *three,
        "--dataset=digits",
        f"--data_dir={data_dir}",
        "--epsilon=0.05",
        "--eval_batch_size=20",
        "--eval_attacks=autoattack",
        "--eval_examples=20",
    )
    folder = tmp_path / "killed"
    killed = binaries.start("evaluate", *command, f"--output_dir={folder}")

    def second_is_attacked():
        done = list(folder.glob(".evaluation-*-done.json"))
        return len(done) == 1 and len(states(folder)) > 1

    binaries.wait_until(second_is_attacked, killed, seconds=200)
    killed.kill()
    killed.communicate(timeout=60)
    before = sorted(folder.glob(".evaluation-*-done.json"))
    stamps = [path.stat().st_mtime_ns for path in before]
    assert len(before) == 1
    resumed = binaries.start("evaluate", *command, f"--output_dir={folder}")
    binaries.wait_until(
        lambda: len(list(folder.glob(".evaluation-*-done.json"))) > 1,
        resumed,
        seconds=200,
    )
    # That of the first network was not written again.
    assert [path.stat().st_mtime_ns for path in before] == stamps
    resumed.communicate(timeout=300)
    assert resumed.returncode == 0
    whole = tmp_path / "whole"
    assert binaries.run("evaluate", *command, f"--output_dir={whole}") == 0
    assert networks_of(folder) == networks_of(whole)
    assert (folder / "examples.tsv").read_text() == (
        whole / "examples.tsv"
    ).read_text()
