"""Dropping weights of small magnitude, and regrowing as many by gradient.

Reference:

- [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3
"""

from __future__ import annotations

import math

import numpy as np

from hydra_tf.ops.counts import kept_count

# Where the cosine of the drop share ends.
_LAST_SHARE = 0.005


def drop_share_at(progress: float, share: float) -> float:
    """Returns the share of the kept weights that an update drops.

    Args:
        progress: Float in [0, 1], how much of the training is done.
        share: Float in (0, 1], the share at its beginning, which falls by a
            cosine to 0.005 (or stays, if it is less).

    Example:

    >>> drop_share_at(0.0, 0.5), round(drop_share_at(1.0, 0.5), 6)
    (0.5, 0.005)
    """
    last = min(share, _LAST_SHARE)
    return last + (share - last) * (1 + math.cos(math.pi * progress)) / 2


def num_dropped(kept: int, share: float) -> int:
    """Returns how many of `kept` weights go if a share of them does.

    One stays at least.

    Example:

    >>> num_dropped(10, 0.25), num_dropped(1, 0.9)
    (2, 0)
    """
    return kept - kept_count(1.0 - share, kept) if share < 1.0 else kept - 1


def regrowth_scores(
    weights: np.ndarray,
    gradients: np.ndarray,
    kept: np.ndarray,
    dropped: int,
) -> np.ndarray:
    """Returns scores by which weights stay, and others come in their place.

    What stays is above all else, the largest first; then come all others (what
    has just been dropped included) by the magnitude of their gradients. A mask
    of as many as before regrows what was dropped; of fewer or more, less or
    more of it.

    Args:
        weights: Float array.
        gradients: Array of its shape, of the loss by the weights.
        kept: Bool array of its shape, the mask.
        dropped: Integer, how many of what is kept go.

    Returns:
        Float32 array of its shape: from 1 to 2 where a weight stays, from 0 to
        0.5 elsewhere.

    Example:

    >>> weights, gradients = np.array([3.0, 1, 0, 0]), np.array([0.0, 0, 1, 2])
    >>> kept = np.array([True, True, False, False])
    >>> regrowth_scores(weights, gradients, kept, dropped=1)
    array([2.  , 0.  , 0.25, 0.5 ], dtype=float32)
    """
    magnitudes = np.abs(np.asarray(weights, np.float64))
    stays = np.array(kept, bool)
    # Stable: of equal ones the first stay, as in `topk_mask`.
    inside = np.flatnonzero(stays)
    order = np.argsort(-magnitudes.ravel()[inside], kind="stable")
    stays.ravel()[inside[order[len(order) - dropped :]]] = False
    slopes = np.abs(np.asarray(gradients, np.float64))
    scores = np.where(
        stays, 1.0 + _of_largest(magnitudes), 0.5 * _of_largest(slopes)
    )
    return scores.astype(np.float32)


def _of_largest(values: np.ndarray) -> np.ndarray:
    """Values over their maximum, zeros where all are."""
    return values / (values.max() or 1.0)
