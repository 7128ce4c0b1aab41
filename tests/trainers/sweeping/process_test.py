"""Why a process failed, and what becomes of it when this one is stopped."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hydra_tf import interrupts
from trainers.sweeping import process

TRACEBACK = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
tensorflow.errors.ResourceExhaustedError: Graph execution error:
OOM when allocating a tensor
"""


@pytest.mark.parametrize(
    "code, written, why",
    [
        (-9, "", "ended by SIGKILL, perhaps for lack of memory"),
        (-11, "Fatal Python error\n", "ended by SIGSEGV"),
        (2, "a\npipeline: error: --model is required\n", "--model is required"),
        (143, "hydra-tf-pretrain: stopped by SIGTERM; x\n", "stopped by "),
        (1, TRACEBACK, "tensorflow.errors.ResourceExhaustedError: Graph"),
        (3, "", "exit code 3"),
        (1, "last words\n\n", "last words"),
        (
            1,
            "tf.InternalError: Graph execution error:\n\n at x\n"
            "out of space\n\t [[{{node y}}]]\n",
            "tf.InternalError: Graph execution error: out of space",
        ),
    ],
)
def test_reason_is_one_line(code, written, why):
    found = process.reason(code, written)
    assert found.startswith(why)
    assert "\n" not in found


@pytest.fixture
def program(monkeypatch):
    """Makes a program stand for the binaries."""

    def use(text):
        monkeypatch.setattr(
            process, "_program", lambda _: [sys.executable, "-S", "-c", text]
        )

    return use


def test_output_is_passed_on_and_the_end_is_told(program, capfd):
    program("import sys; print(sys.argv[1:])")
    assert process.run("pipeline", ["--seed=1"]) is None
    program("import sys; sys.exit('pipeline: error: no luck')")
    assert process.run("pipeline", []) == "no luck"
    out, err = capfd.readouterr()
    assert out == "['--seed=1']\n"
    assert err == "pipeline: error: no luck\n"


def test_environment_is_that_of_the_shell(program, monkeypatch):
    monkeypatch.setenv("CHANGED_LATER", "yes")
    program("import os, sys; sys.exit('CHANGED_LATER' in os.environ)")
    assert process.run("pipeline", []) is None
    # Where a checkout's binaries are found from anywhere.
    find = "importlib.util.find_spec('trainers')"
    program(f"import importlib.util, sys; sys.exit({find} is None)")
    monkeypatch.chdir("/")
    assert process.run("pipeline", []) is None


def test_descriptors_stay_open_in_the_process(program, tmp_path):
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    program("import os, sys; os.fstat(int(sys.argv[1]))")
    assert process.run("pipeline", [str(descriptor)], [descriptor]) is None
    os.close(descriptor)


def test_stopped_process_stops_the_other(program, monkeypatch):
    started = []
    popen = subprocess.Popen

    def recorded(*arguments, **settings):
        started.append(popen(*arguments, **settings))
        return started[-1]

    monkeypatch.setattr(process.subprocess, "Popen", recorded)
    monkeypatch.setattr(process, "_GRACE", 0.1)
    program("import time; time.sleep(60)")
    number = signal.SIGTERM
    before = signal.getsignal(number), signal.getsignal(signal.SIGINT)

    def stop():
        while not started:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), number)

    try:
        interrupts.install_handlers()
        threading.Thread(target=stop).start()
        with pytest.raises(interrupts.Interrupted):
            process.run("pipeline", [])
    finally:
        interrupts.install_handlers()
        signal.signal(number, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert started[0].returncode == -number
