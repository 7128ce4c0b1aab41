"""Files that `torch.save` wrote, as arrays."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import files
from hydra_tf.errors import InputError

# Where programs put the state dict in what they save.
_STATES = ("state_dict", "model_state_dict", "model", "net")


def stable_order(values: np.ndarray) -> np.ndarray:
    """Returns the indices of a vector in rising order; ties keep theirs."""
    return np.argsort(values, kind="stable")


@dataclasses.dataclass(frozen=True)
class TorchCheckpoint:
    """What a checkpoint holds.

    Attributes:
        arrays: The state dict: NumPy arrays by the names of PyTorch, floats as
            float32.
        arch: What the checkpoint calls its architecture, or `None`.
        order: Function that returns the indices of a vector in rising order,
            those of ties as the originals' masks have them.
    """

    arrays: Mapping[str, np.ndarray]
    arch: str | None = None
    order: Callable[[np.ndarray], np.ndarray] = stable_order


def read_torch_checkpoint(checkpoint: str | os.PathLike) -> TorchCheckpoint:
    """Reads a file of `torch.save`, without running what it holds.

    Args:
        checkpoint: The file: a state dict, or a dict that has one under
            `"state_dict"` as those of the originals do.

    Raises:
        InputError: If PyTorch is not installed, or the file cannot be read,
            holds other objects than tensors and plain values, or no state
            dict.
    """
    path = files.as_path(checkpoint)
    where = named(path)
    if not files.is_file(path):
        what = "is a folder" if files.is_dir(path) else "does not exist"
        raise InputError(f"{where} {what}; give a .pth.tar file of torch.save")
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{where} is read by PyTorch, which is not installed: "
            "pip install torch"
        ) from error
    try:
        with files.naming(path, "read"), files.local_copy(path) as local:
            content = torch.load(local, map_location="cpu", weights_only=True)
    except (InputError, MemoryError):
        raise
    # Whatever pickle, zip and tensors say of a file of another kind.
    except Exception as error:
        raise InputError(f"{where} {_refused(str(error))}") from error

    def order(values: np.ndarray) -> np.ndarray:
        return torch.from_numpy(values).sort()[1].numpy()

    arch = content.get("arch") if isinstance(content, Mapping) else None
    return TorchCheckpoint(
        {
            name: _as_array(torch, tensor)
            for name, tensor in _state_dict(torch, content, where).items()
        },
        arch if isinstance(arch, str) else None,
        order,
    )


def named(checkpoint: str | os.PathLike) -> str:
    """Returns what a message calls a checkpoint."""
    return f"`checkpoint`={os.fspath(checkpoint)}"


def _refused(reason: str) -> str:
    """Says why `torch.load` did not take a file."""
    named = re.search(r"GLOBAL (\S+)|but got <class '([^']+)'>", reason)
    if named is None:
        return "is no checkpoint of PyTorch, or is damaged"
    return (
        f"holds a pickled object ({named[1] or named[2]}), which could run "
        "code: where you trust the file, save its state dict again, "
        "torch.save(checkpoint['state_dict'], path)"
    )


def _state_dict(torch: Any, content: Any, where: str) -> dict[str, Any]:
    """Returns the tensors of a checkpoint by name."""
    candidates = [content]
    if isinstance(content, Mapping):
        candidates = [content.get(name) for name in _STATES] + candidates
    for candidate in candidates:
        if isinstance(candidate, Mapping):
            tensors = {
                name: value
                for name, value in candidate.items()
                if isinstance(name, str) and isinstance(value, torch.Tensor)
            }
            if any("." in name for name in tensors):
                return tensors
    raise InputError(
        f"{where} holds no state dict: neither tensors by name nor such a "
        "dict under 'state_dict'"
    )


def _as_array(torch: Any, tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
    return tensor.contiguous().numpy()
