"""What a run ran on, for its record."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from typing import Any

import hydra_tf
from trainers.terminal import startup

_PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-datasets",
    "tensorflow-model-optimization",
    "cleverhans",
    "numpy",
)


def describe() -> dict[str, Any]:
    """Returns versions, machine and devices."""
    import tensorflow as tf

    versions = {"hydra_tf": hydra_tf.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }


def command() -> str:
    """Returns the command line as one would type it."""
    return f"{startup.program()} {shlex.join(sys.argv[1:])}".rstrip()
