"""Kernels of PyTorch in the layout of Keras."""

from __future__ import annotations

import numpy as np


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape in PyTorch of a kernel of Keras.

    Args:
        shape: `(height, width, in, out)` or `(in, out)`.

    Example:

    >>> torch_shape((3, 3, 16, 32)), torch_shape((100, 10))
    ((32, 16, 3, 3), (10, 100))
    """
    return (*shape[:-3:-1], *shape[:-2])


def to_keras(
    weight: np.ndarray, flattened: tuple[int, ...] | None = None
) -> np.ndarray:
    """Returns a kernel, or its scores, as Keras has it.

    Args:
        weight: `(out, in, height, width)` or `(out, in)`.
        flattened: Height, width and channels of the map that a dense layer's
            inputs are, if they are one: PyTorch flattens channels first, Keras
            last.
    """
    if weight.ndim == 4:
        return weight.transpose(2, 3, 1, 0)
    if flattened is None:
        return weight.T
    height, width, channels = flattened
    maps = weight.reshape(len(weight), channels, height, width)
    return maps.transpose(2, 3, 1, 0).reshape(-1, len(weight))
