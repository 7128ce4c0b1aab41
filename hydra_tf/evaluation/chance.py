"""Whether an accuracy says more than always giving the same answer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf.smoothing.statistics import lower_confidence_bound

# Probability that a network at chance level is taken for a better one.
ALPHA = 0.05

# What stands for natural accuracy beside the names of attacks.
NATURAL = "natural_accuracy"


def chance_level(labels: np.ndarray, num_classes: int) -> float:
    """Returns the accuracy that needs no network.

    That of drawing a class, or of always naming the most frequent one,
    whichever is more.

    Args:
        labels: Integer classes of the images, shape `(images,)`.
        num_classes: Number of classes.
    """
    counts = np.bincount(np.asarray(labels), minlength=1)
    return max(1 / num_classes, float(counts.max() / len(labels)))


def is_above(accuracy: float, num_examples: int, level: float) -> bool:
    """Whether an accuracy is significantly above chance level.

    It is if the lower bound of its exact (Clopper-Pearson) confidence interval
    is, at `ALPHA`.

    Args:
        accuracy: Fraction of the images that are right.
        num_examples: Number of images.
        level: The chance level.

    Example:

    >>> is_above(0.13, 100, 0.1), is_above(0.13, 10_000, 0.1)
    (False, True)
    """
    count = round(accuracy * num_examples)
    return bool(lower_confidence_bound(count, num_examples, ALPHA) > level)


def record(
    figures: Mapping[str, Any], labels: np.ndarray, num_classes: int
) -> dict[str, Any]:
    """Returns what `metrics.json` says of an evaluation and chance.

    Args:
        figures: `natural_accuracy` and `robust_accuracy`, by attack, as
            `Evaluation.to_dict` has them.
        labels: Classes of the images that were evaluated.
        num_classes: Number of classes.

    Returns:
        `chance_level`, and `not_above_chance`: which accuracies are not above
        it, `"natural_accuracy"` and those under attack by the attack's name.
    """
    level = chance_level(labels, num_classes)
    accuracies = {
        NATURAL: figures["natural_accuracy"],
        **figures["robust_accuracy"],
    }
    return {
        "chance_level": level,
        "not_above_chance": [
            name
            for name, accuracy in accuracies.items()
            if not is_above(accuracy, len(labels), level)
        ],
    }
