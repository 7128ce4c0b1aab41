"""Which weights the originals' masks keep, and scores that keep the same.

The originals remove `int((1 - k) * n)` scores, in float64 (HYDRA) or, where a
layer learned its density, in float32 (HARP). That now and then keeps one weight
more than `ceil(k * n)`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hydra_tf.ops.counts import kept_count
from hydra_tf.torch_checkpoints.reading import stable_order


def learned_density(rate: np.ndarray, min_density: float) -> np.float32:
    """Returns HARP's density of a layer, rounded as PyTorch does.

    Args:
        rate: Float32 scalar, the layer's `k_score`.
        min_density: Least density.
    """
    one = np.float32(1.0)
    with np.errstate(over="ignore"):
        exponential = np.float32(np.exp(-np.float64(rate)))
    density = one / (one + exponential) * np.float32(1.0 - min_density)
    return density + np.float32(min_density)


def mask_of_scores(
    scores: np.ndarray,
    density: float | np.float32,
    shape: tuple[int, ...],
    order: Callable[[np.ndarray], np.ndarray] = stable_order,
) -> np.ndarray:
    """Returns the originals' mask.

    Args:
        scores: Of the kernel's shape, or one score an input channel, of size 1
            along the other axes.
        density: The density, a float32 where it was learned.
        shape: The kernel's shape in PyTorch.
        order: See `TorchCheckpoint`.

    Returns:
        Bool array of that shape.
    """
    magnitudes = np.abs(scores).ravel()
    size = magnitudes.size
    one = type(density)(1.0)
    if scores.shape == shape:
        removed = int((one - density) * type(density)(size))
    else:
        removed = size - int(np.round(density * type(density)(size)))
    mask = np.ones(size, bool)
    mask[order(magnitudes)[:removed]] = False
    return np.broadcast_to(mask.reshape(scores.shape), shape)


def scores_with_mask(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns scores of which the largest are those of a mask.

    All but what ties with the least score kept stay as they are.

    Args:
        scores: Float32 array.
        mask: Bool array of its shape.
    """
    if mask.all() or not mask.any():
        return scores
    magnitudes = np.abs(scores)
    least = magnitudes[mask].min()
    if least == 0.0:
        least = np.finfo(np.float32).tiny
        raised = mask & (magnitudes < least)
        scores = np.where(raised, least, scores)
        magnitudes = np.abs(scores)
    lowered = ~mask & (magnitudes >= least)
    below = np.nextafter(np.float32(least), np.float32(0.0))
    return np.where(lowered, np.copysign(below, scores), scores)


def density_of_count(
    count: int, size: int, density: float | None = None
) -> float:
    """Returns a density that keeps a number of weights.

    Args:
        count: How many of them stay; 0 counts as 1, the fewest that can.
        size: How many there are.
        density: Returned if it means that number.
    """
    count = max(count, 1)
    if density is not None and kept_count(float(density), size) == count:
        return float(density)
    return count / size
