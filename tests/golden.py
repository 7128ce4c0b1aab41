"""Golden arrays computed by the original systems, stored in tests/testdata."""

from __future__ import annotations

import pathlib

import numpy as np

TESTDATA = pathlib.Path(__file__).parent / "testdata"


def load(name: str) -> dict[str, np.ndarray]:
    """Returns all arrays of `tests/testdata/<name>.npz` by key."""
    with np.load(TESTDATA / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}
