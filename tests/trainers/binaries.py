"""Running the binaries in tests: in this process, or in one of its own."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from unittest import mock

from absl import flags
from absl.testing import flagsaver

from flags import certify_flags
from flags import convert_flags
from flags import evaluate_flags  # noqa: F401  Before a flagsaver can undo it.
from flags import export_flags  # noqa: F401  As above.
from flags import inspect_flags
from flags import pseudo_label_flags
from flags import report_flags
from flags import sweep_flags  # noqa: F401  As above.
from trainers.terminal import startup
from trainers.training import settings  # noqa: F401  As above.

ROOT = pathlib.Path(__file__).parents[2]

# Of the binaries that do not know those of training.
OWN_FLAGS = {
    "certify": certify_flags.FLAGS,
    "convert": convert_flags.FLAGS,
    "inspect": inspect_flags.FLAGS,
    "pseudo_label": pseudo_label_flags.FLAGS,
    "report": report_flags.FLAGS,
}

# A pipeline of seconds: 5 steps an epoch, on every layer kind of the demo.
TINY = (
    "--dataset=digits",
    "--model=digits_model",
    "--fraction=0.1",
    "--batch_size=32",
    "--objective=madry",
    "--epsilon=0.15",
    "--num_steps=2",
    "--pretrain_epochs=2",
    "--prune_epochs=3",
    "--finetune_epochs=2",
    "--learning_rate=0.05",
    "--density=0.2",
    "--eval_num_steps=2",
    "--eval_num_restarts=1",
    "--eval_examples=40",
    "--tensorboard_images=0",
    "--seed=3",
)


def run(name: str, *arguments: str) -> int:
    """Runs a binary in this process, which has TensorFlow already.

    Args:
        name: Name of the binary.
        *arguments: Its command line.

    Returns:
        The exit code. Output goes to stdout and stderr; see `capfd`.
    """
    module = importlib.import_module(f"trainers.{name}")
    own_flags = OWN_FLAGS.get(name)
    argv = [str(ROOT / "trainers" / f"{name}.py"), *arguments]
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with (
            flagsaver.flagsaver(),
            mock.patch.object(sys, "argv", argv),
            _in_root(),
        ):
            flags.FLAGS.unparse_flags()
            startup.run(module.main, own_flags)
    except SystemExit as stop:
        return stop.code or 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # A folder is released with what holds it, here not by the process' end.
        gc.collect()
    return 0


def start(
    name: str, *arguments: str, cwd: pathlib.Path = ROOT
) -> subprocess.Popen:
    """Starts a binary in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", f"trainers.{name}", *arguments],
        cwd=cwd,
        env={
            key: value
            for key, value in os.environ.items()
            if key != "TF_CPP_MIN_LOG_LEVEL"
        }
        | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(
    happened: Callable[[], bool], process: subprocess.Popen, seconds: float = 60
) -> None:
    """Waits for something that a running binary does."""
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@contextlib.contextmanager
def _in_root():
    """Changes to the root of the checkout, where presets are found."""
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        yield
    finally:
        os.chdir(before)
