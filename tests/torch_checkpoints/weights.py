"""Arrays that depend on their names alone, for state dicts."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np


def drawn(
    shapes: Mapping[str, tuple[int, ...]], density: float = 1.0
) -> dict[str, np.ndarray]:
    """Returns a state dict.

    Kernels are normal with variance 2 / fan_in, fan_in counting what a mask
    keeps, so that activations keep their size; everything else, the statistics
    of batch norm too, is far enough from its usual start to show when it is
    missing or in the wrong place.

    Args:
        shapes: Shapes by name.
        density: What masks keep of each layer that has no learned density.
    """
    arrays = {}
    for name, shape in shapes.items():
        # The stream of a RandomState never changes between numpy versions.
        random = np.random.RandomState(zlib.crc32(name.encode()))
        last = name.rpartition(".")[2]
        if last == "num_batches_tracked":
            arrays[name] = np.int64(7).reshape(shape)
            continue
        if last in ("weight", "popup_scores") and len(shape) > 1:
            module = name.rpartition(".")[0]
            # Of the rates below.
            kept = 0.4 if f"{module}.k_score" in shapes else density
            scale = math.sqrt(2 / kept / np.prod(shape[1:]))
            values = random.standard_normal(shape) * scale
        elif last in ("weight", "running_var"):
            values = random.uniform(0.5, 1.5, shape)
        elif last == "k_score":
            values = random.uniform(-2, 1, shape)
        else:
            values = random.uniform(-0.2, 0.2, shape)
        arrays[name] = np.asarray(values, np.float32)
    return arrays


def images(shape: tuple[int, int, int]) -> np.ndarray:
    """Returns two images in [0, 1]."""
    random = np.random.RandomState(sum(shape))
    return random.uniform(size=(2, *shape)).astype(np.float32)


def assert_equal_logits(logits, expected: np.ndarray) -> None:
    """Checks logits up to 1e-4, or where they are large to their fifth digit.

    Args:
        logits: Those to check.
        expected: Those of PyTorch.
    """
    largest = np.abs(expected).max()
    assert largest > 0.1
    np.testing.assert_allclose(
        logits, expected, rtol=0, atol=max(1e-4, 1e-5 * largest)
    )


# What testdata/torch_checkpoints.npz holds logits of: a network, and arguments
# of `originals.network`. HYDRA's masks, HARP's, HARP's of channels, none.
CASES = {
    "mnist_model": {"k": 0.1},
    "mnist_model_large": {"k": 0.05, "k_min": 0.005},
    "cifar_model": {"k": 0.5, "k_min": 0.05, "channels": True},
    "cifar_model_large": {"k": 0.9},
    "cifar_model_resnet": {"k": 0.1},
    "vgg4": {},
    "vgg4_bn": {"k": 0.05, "k_min": 0.005, "classes": 3},
    "vgg16_bn": {"k": 0.01},
    "resnet18": {"k": 0.01, "k_min": 0.001},
    "wrn_28_1": {"k": 0.5, "k_min": 0.05, "channels": True},
    "wrn_28_4": {"k": 0.1},
}
