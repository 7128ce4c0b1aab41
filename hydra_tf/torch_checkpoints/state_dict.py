"""A state dict of the originals: which array is of what, and if all fit."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from hydra_tf.errors import InputError

SCORES = "popup_scores"
RATE = "k_score"

# What a module that normalises images holds, and what it is called.
_NORMALIZERS = (("mean", "std"), ("mu", "sigma"))
# In the originals but in no output: batches counted, and a block of WRN.
_UNUSED = re.compile(r"(^|\.)(num_batches_tracked$|sub_block\d+\.)")


class StateDict:
    """The arrays of a network, taken one by one.

    Wrappers' prefixes such as `module.` are left out of the names.

    Args:
        arrays: By name.
        where: What to call the checkpoint in a message.

    Attributes:
        where: See above.
        normalization: Mean and standard deviation of each channel, if the
            checkpoint holds those of its images, else `None`.

    Raises:
        InputError: If an array holds numbers that are not finite.
    """

    normalization: tuple[np.ndarray, np.ndarray] | None = None

    def __init__(self, arrays: Mapping[str, np.ndarray], where: str) -> None:
        self.where = where
        for name, array in arrays.items():
            if not np.all(np.isfinite(array)):
                raise InputError(
                    f"{where} cannot be used: '{name}' holds values that are "
                    "not finite"
                )
        self._arrays = dict(arrays)
        self._take_normalization()
        self._unwrap()
        self._taken: set[str] = set()

    def _take_normalization(self) -> None:
        for mean, std in _NORMALIZERS:
            for name in list(self._arrays):
                prefix, dot, last = name.rpartition(".")
                other = f"{prefix}{dot}{std}"
                if last == mean and other in self._arrays:
                    self.normalization = (
                        self._arrays.pop(name).reshape(-1),
                        self._arrays.pop(other).reshape(-1),
                    )

    def _unwrap(self) -> None:
        """Leaves out what all names begin with."""
        while len(self._arrays) > 1:
            firsts = {name.partition(".")[0] for name in self._arrays}
            if len(firsts) > 1 or not all("." in n for n in self._arrays):
                return
            self._arrays = {
                name.partition(".")[2]: array
                for name, array in self._arrays.items()
            }

    @property
    def has_scores(self) -> bool:
        """Whether any layer has scores."""
        return any(name.endswith(f".{SCORES}") for name in self._arrays)

    @property
    def has_rates(self) -> bool:
        """Whether any layer has a learned rate."""
        return any(name.endswith(f".{RATE}") for name in self._arrays)

    def num_classes(self) -> int:
        """Returns how many outputs the last dense layer has.

        Raises:
            InputError: If there is no dense layer.
        """
        kernels = [
            name
            for name, array in self._arrays.items()
            if name.endswith(".weight") and array.ndim == 2
        ]
        if not kernels:
            raise InputError(
                f"{self.where} holds no network that ends in a dense layer; "
                f"its first array is {self._first()}"
            )
        return len(self._arrays[max(kernels, key=_position)])

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Returns an array.

        Args:
            name: What PyTorch calls it, such as `"conv1.weight"`.
            shape: The shape that it has to have.

        Raises:
            InputError: If it is missing or has another shape.
        """
        array = self._arrays.get(name)
        if array is None:
            raise InputError(
                f"{self.where} is another architecture: it has no '{name}'; "
                f"its first array is {self._first()}"
            )
        if array.shape != shape:
            raise InputError(
                f"{self.where} is another architecture: '{name}' has shape "
                f"{array.shape} instead of {shape}"
            )
        self._taken.add(name)
        return array

    def find(self, name: str) -> np.ndarray | None:
        """Returns an array of any shape, or `None`."""
        self._taken.add(name)
        return self._arrays.get(name)

    def check_all_taken(self) -> None:
        """Raises `InputError` if arrays are left that outputs depend on."""
        for name in self._arrays:
            if name not in self._taken and not _UNUSED.search(name):
                raise InputError(
                    f"{self.where} is another architecture: nothing "
                    f"corresponds to its '{name}'"
                )

    def _first(self) -> str:
        for name, array in self._arrays.items():
            return f"'{name}' of shape {array.shape}"
        return "missing"


def _position(name: str) -> list[tuple[int, str]]:
    """Returns a key that sorts names as modules with numbers stand."""
    return [
        (int(part) if part.isdigit() else -1, part) for part in name.split(".")
    ]
