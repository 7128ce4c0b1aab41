"""What all workers of a run must have alike: flags, code, versions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import pathlib
import platform

from absl import flags

# Where a worker keeps and finds its files is its own affair.
_OWN = {"output_dir", "data_dir"}
_PACKAGES = ("tensorflow", "keras", "numpy")
_TREES = ("flags", "hydra_tf", "trainers")


def flags_given() -> dict[str, str]:
    """Returns the flags that are not at their defaults, as given."""
    return {
        f"--{flag.name}": flag.serialize().partition("=")[2] or "given"
        for module, each in flags.FLAGS.flags_by_module_dict().items()
        if module.startswith("flags.")
        for flag in each
        if flag.name not in _OWN and flag.value != flag.default
    }


def code() -> dict[str, str]:
    """Returns digests and versions of what runs, by what it is."""
    root = pathlib.Path(__file__).parents[2]
    digest = hashlib.sha256()
    for tree in _TREES:
        for path in sorted((root / tree).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return {
        "the code of hydra_tf": digest.hexdigest()[:16],
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }
