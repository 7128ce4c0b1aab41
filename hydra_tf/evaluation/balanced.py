"""Accuracy in which every class counts the same, however often it occurs."""

from __future__ import annotations

import numpy as np


def balanced_accuracy(labels: np.ndarray, right: np.ndarray) -> float:
    """Returns the mean, over the classes that occur, of the accuracy in each.

    Of a network that names one class only it is one over their number, where
    the plain accuracy is the share of that class.

    Args:
        labels: Integer classes of the images, shape `(images,)`.
        right: Bool array, which images are right.

    Example:

    >>> balanced_accuracy([0, 0, 0, 1], [True, True, True, False])
    0.5
    """
    _, classes = np.unique(labels, return_inverse=True)
    counts = np.bincount(classes)
    return float(np.mean(np.bincount(classes, right) / counts))


def is_imbalanced(labels: np.ndarray) -> bool:
    """Whether one class occurs at least twice as often as another that occurs.

    Args:
        labels: Integer classes of the images, shape `(images,)`.
    """
    _, counts = np.unique(labels, return_counts=True)
    return bool(counts.max() >= 2 * counts.min())
