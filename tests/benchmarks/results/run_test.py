"""A study's program: wrong flags are answered first, and stopping stops all."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.results import methods
from benchmarks.results import run
from benchmarks.results.studies import STUDIES
from hydra_tf.errors import InputError


@pytest.fixture(autouse=True)
def flags_are_given():
    """Parses flags, which are forgotten at the end."""

    def give(*given):
        run._FLAGS(["run", *given])

    give()
    yield give
    for name in run._FLAGS:
        run._FLAGS[name].unparse()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--methods=hidra", ["--methods=hidra", "hydra, harp"]),
        ("--densities=5%", ["--densities", "5%"]),
        ("--densities=0", ["--densities", "(0, 1]"]),
        ("--epochs=40,60", ["--epochs", "three"]),
        ("--seeds=one", ["--seeds", "one"]),
        ("--objective=natural", ["--objective=natural", "madry"]),
        ("--network=cifar_model", ["--network=cifar_model", "digits_model"]),
    ],
)
def test_wrong_flags_say_what_is_right(given, words, flags_are_given):
    flags_are_given(given)
    with pytest.raises(InputError) as caught:
        run._plan("selection")
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_purpose_has_to_be_given():
    with pytest.raises(InputError, match="--select"):
        run._purposes()


def test_all_methods_that_are_there_are_run():
    plan = run._plan("final")
    known = methods.of_study(STUDIES["digits"]).values()
    assert plan.methods == [method for method in known if method.is_there]
    assert {"lwm", "hydra", "harp", "tfmot"} < {m.name for m in plan.methods}


def test_processes_that_train_end_with_the_program(tmp_path):
    program = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.results.run", "--select"]
        + ["--methods=lwm", f"--work={tmp_path}"]
        + [f"--output={tmp_path / 'rows.tsv'}"],
        cwd=pathlib.Path(run.__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        found = _wait_for_children(program.pid)
        program.send_signal(signal.SIGTERM)
        _, error = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == 128 + signal.SIGTERM
    assert "stopped; the same command goes on" in error
    end = time.monotonic() + 20
    while any(_is_running(each) for each in found):
        assert time.monotonic() < end
        time.sleep(0.2)


def _wait_for_children(pid):
    """Returns the numbers of the processes that a process has started."""
    listed = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [int(each) for each in listed.read_text().split()]
        if len(found) > run._JOBS.value:  # And one of `multiprocessing`.
            return found
        time.sleep(0.2)
    raise AssertionError("nothing trains")


def _is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
