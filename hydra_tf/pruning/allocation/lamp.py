"""The LAMP allocation: magnitudes, each against what is left of its layer.

Reference:

- [Lee et al., 2021](https://arxiv.org/abs/2010.07611), section 2
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hydra_tf.pruning.allocation.pools import Pool
from hydra_tf.pruning.allocation.pools import Pools


def lamp(
    model: keras.Model, density: float, *, nested: bool = False
) -> dict[str, float]:
    """Layer-adaptive magnitudes: one threshold for the LAMP scores of all.

    A weight's score says how much of its layer, as far as that is still
    there, would go with it (see `lamp_scores`). No layer runs empty, because
    the largest weight of each has the score 1. Channels are compared in the
    same way, by the sums of their weights' magnitudes.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights, or of channels; see
            `hydra_tf.allocation.allocate`.
        nested: Whether only what the masks keep now may be kept.

    Reference:

    - [Lee et al., 2021](https://arxiv.org/abs/2010.07611), section 2
    """
    return Pools(model, density, nested=nested).largest_first(_scores_of_pool)


def _scores_of_pool(pool: Pool) -> np.ndarray:
    # Scores fall with the magnitudes: how many are kept says which.
    return _scores_of_sorted(np.sort(pool.magnitudes())[::-1])


def lamp_scores(kernel: Any) -> np.ndarray:
    """Returns the LAMP scores of a layer's weights.

    A weight's square over the sum of the squares of all weights of the layer
    that are not smaller. Where magnitudes tie, the lower flat index counts as
    the larger, as in a mask. Zeros score 0.

    Args:
        kernel: Float array of any shape.

    Returns:
        Float64 array of the kernel's shape, values in [0, 1].

    Example:

    >>> lamp_scores([1.0, -2.0]).tolist()
    [0.2, 1.0]

    Reference:

    - [Lee et al., 2021](https://arxiv.org/abs/2010.07611), equation 2
    """
    magnitudes = np.abs(np.asarray(kernel, np.float64))
    order = np.argsort(-magnitudes, axis=None, kind="stable")
    scores = np.empty(magnitudes.size)
    scores[order] = _scores_of_sorted(magnitudes.ravel()[order])
    return scores.reshape(magnitudes.shape)


def _scores_of_sorted(descending: np.ndarray) -> np.ndarray:
    """Returns the scores of magnitudes that are sorted, the largest first."""
    squares = np.square(descending, dtype=np.float64)
    sums = np.cumsum(squares)
    return np.divide(squares, sums, out=np.zeros_like(squares), where=sums > 0)
