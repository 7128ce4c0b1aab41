"""Scores under which what is pruned stays pruned."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from hydra_tf.pruning.naming import prunable_layers

# Relative to a layer's largest score: what is left counts at least this much,
# what is pruned is scaled by a factor so small that it counts for less.
_LEAST_KEPT = 2.0**-50
_PRUNED = 2.0**-100


def kept_now(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns which entries of every layer's scores the masks keep.

    Args:
        model: Model with masked layers.

    Returns:
        Bool arrays of the scores' shapes by layer name; for weights, that is
        each layer's mask outside of pretraining.
    """
    return {
        name: np.asarray(layer.score_mask) > 0
        for name, layer in prunable_layers(model).items()
    }


def rank_below(model: keras.Model, kept: Mapping[str, np.ndarray]) -> None:
    """Moves the scores of what is pruned below all others.

    The order among what is kept stays (but for what is 2^50 times smaller
    than the largest), and so does that among what is pruned: should a layer
    ever keep more again, the best of it come back.

    Args:
        model: Model with masked layers.
        kept: As from `kept_now`.
    """
    done = set()
    for name, layer in prunable_layers(model).items():
        # Layers of a group share their scores.
        if id(layer.scores) not in done:
            done.add(id(layer.scores))
            scores = keras.ops.convert_to_numpy(layer.scores)
            layer.scores.assign(_ranked_below(scores, kept[name]))


def _ranked_below(scores: np.ndarray, kept: np.ndarray) -> np.ndarray:
    if kept.all():
        return scores
    least = np.abs(scores).max() * np.float32(_LEAST_KEPT)
    least = max(least, np.finfo(np.float32).tiny)  # not 0 for scores of 0
    floored = np.where(np.abs(scores) < least, least, scores)
    return np.where(kept, floored, scores * np.float32(_PRUNED))
