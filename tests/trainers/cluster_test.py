"""Runs of two workers on loopback: what they write, kills, disagreement."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import hydra_tf  # noqa: F401  Registers what .keras files hold.
from tests.trainers.binaries import ROOT

SHORT = (
    "--dataset=digits --model=digits_model --fraction=0.1 --batch_size=32 "
    "--objective=fgsm --epsilon=0.1 --density=0.2 --eval_examples=10 "
    "--eval_attacks=pgd --eval_certify= --tensorboard_images=0 "
    "--strategy=multi_worker"
).split()
PIPELINE = ("--pretrain_epochs=2", "--prune_epochs=2", "--finetune_epochs=2")


def free_ports(number):
    taken = [socket.socket() for _ in range(number)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


def config(ports, index):
    workers = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": workers}, "task": task})


class Started:
    """Workers of a binary, killed at the end of a block."""

    def __init__(
        self, binary, *arguments, each=((), ()), indices=(0, 1), folders=()
    ):
        ports = free_ports(2)
        common = {
            key: value
            for key, value in os.environ.items()
            if key != "TF_CPP_MIN_LOG_LEVEL"
        }
        self.processes = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", f"trainers.{binary}"),
                    *(*SHORT, *arguments, *each[index]),
                ],
                cwd=folders[index] if folders else ROOT,
                env=common
                | {"PYTHONPATH": str(ROOT), "TF_CONFIG": config(ports, index)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in indices
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self.processes:
            each.kill()
            each.communicate()

    def finished(self, seconds=600):
        """Returns exit code, stdout and stderr of each worker."""
        end = time.monotonic() + seconds
        outputs = [
            each.communicate(timeout=max(end - time.monotonic(), 1))
            for each in self.processes
        ]
        return [
            (each.returncode, *output)
            for each, output in zip(self.processes, outputs, strict=True)
        ]


def weights_of(folder, phase):
    path = folder / "checkpoints" / f"{phase}.keras"
    network = keras.saving.load_model(path, compile=False)
    return [np.asarray(each) for each in network.weights]


@pytest.mark.slow
def test_the_chief_alone_writes_and_another_command_evaluates(tmp_path):
    folder = tmp_path / "run"
    with Started(
        "pretrain",
        "--epochs=1",
        # Never written to: the chief alone writes.
        each=(
            (f"--output_dir={folder}",),
            (f"--output_dir={tmp_path / 'other'}",),
        ),
    ) as two:
        (code, out, err), (other_code, other_out, other_err) = two.finished()
    assert (code, other_code) == (0, 0), err + other_err
    assert "pretrain 1/1" in out
    assert other_out == err == other_err == ""
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    record = json.loads((folder / "metrics.json").read_text())
    assert record["run"]["replicas"] == 2
    with Started(
        "evaluate", f"--source={folder}", f"--output_dir={tmp_path / 'eval'}"
    ) as two:
        found = two.finished()
    assert [code for code, _, _ in found] == [0, 0], found
    assert (tmp_path / "eval" / "metrics.json").is_file()


@pytest.mark.slow
def test_ten_kills_of_either_worker_leave_the_weights_as_they_are(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with Started("pipeline", *PIPELINE, f"--output_dir={whole}") as two:
        began = time.monotonic()
        assert [code for code, _, _ in two.finished()] == [0, 0]
        seconds = time.monotonic() - began
    draw, kills, failures = random.Random(0), 0, 0
    while kills < 10:
        # A busy machine may start so late that the victim never comes.
        arguments = (*PIPELINE, "--worker_timeout=30")
        with Started("pipeline", *arguments, f"--output_dir={killed}") as two:
            victim, other = draw.sample(two.processes, 2)
            try:
                victim.wait(draw.uniform(0.3, 0.8) * seconds)
                break  # Done, before all kills were.
            except subprocess.TimeoutExpired:
                victim.send_signal(signal.SIGKILL)
                kills += 1
            # The other one ends by itself, with a line.
            _, err = other.communicate(timeout=120)
            if other.returncode == 0:
                continue  # It had done all, and needed the victim no more.
            assert other.returncode == 1, err
            assert err.count("\n") == 1 and "error: " in err
            failures += 1
    assert failures >= 3
    with Started("pipeline", *PIPELINE, f"--output_dir={killed}") as two:
        assert [code for code, _, _ in two.finished()] == [0, 0]
    for phase in ("pretrain", "prune", "finetune"):
        pairs = zip(
            weights_of(whole, phase), weights_of(killed, phase), strict=True
        )
        for one, two in pairs:
            np.testing.assert_array_equal(one, two)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("each", "words"),
    [
        (
            ((), ("--seed=1",)),
            "worker 1 differs from the chief in --seed (1, not none)",
        ),
        ((("--epsilon=0.2",), ()), "--epsilon (0.1, not 0.2)"),
    ],
)
def test_workers_of_other_commands_all_say_so(tmp_path, each, words):
    folder = tmp_path / "run"
    with Started("pretrain", f"--output_dir={folder}", each=each) as two:
        found = two.finished()
    for code, out, err in found:
        assert (code, out) == (2, "")
        assert err.startswith("pretrain: error: ") and err.count("\n") == 1
        assert words in err
    assert not folder.exists()


@pytest.mark.slow
def test_workers_with_other_extra_images_all_say_so(tmp_path):
    folders = [tmp_path / str(index) for index in range(2)]
    for index, folder in enumerate(folders):
        folder.mkdir()
        images = np.zeros((40, 8, 8, 1), np.uint8)
        images[-1] = index
        np.savez(folder / "x.npz", images=images, labels=[0] * 40)
    with Started(
        "pretrain",
        f"--output_dir={tmp_path / 'run'}",
        "--extra_data=x.npz",
        folders=folders,
    ) as two:
        found = two.finished()
    for code, _, err in found:
        assert (code, err.count("\n")) == (2, 1), err
        assert "the chief in the pretrain phase's extra_data (" in err
        assert "; the training images (" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_that_never_comes_is_named(tmp_path):
    folder = tmp_path / "run"
    with Started(
        "pretrain",
        f"--output_dir={folder}",
        "--worker_timeout=3",
        indices=(0,),
    ) as one:
        ((code, _, err),) = one.finished(120)
    assert code == 1
    assert err.count("\n") == 1
    assert "not all workers came within --worker_timeout=3" in err
    assert "no answer from 127.0.0.1:" in err
    assert not folder.exists()
