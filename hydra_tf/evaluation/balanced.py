"""Accuracy in which every class counts the same, however often it occurs."""

from __future__ import annotations

from typing import Any

import numpy as np

from hydra_tf.errors import InputError


def balanced_accuracy(labels: Any, right: Any) -> float:
    """Returns the mean, over the classes that occur, of the accuracy in each.

    Of a network that names one class only it is one over their number, where
    the plain accuracy is the share of that class.

    Args:
        labels: Integer classes of the images, shape `(images,)`.
        right: Bools, which images are right, shape `(images,)`.

    Raises:
        InputError: If there is not one of `right` for each label.

    Example:

    >>> balanced_accuracy([0, 0, 0, 1], [True, True, True, False])
    0.5
    """
    labels, right = np.asarray(labels), np.asarray(right)
    if labels.ndim != 1 or labels.shape != right.shape or not len(labels):
        raise InputError(
            "`right` must hold one value for each of `labels`. Received: "
            f"labels of shape {labels.shape}, right of shape {right.shape}"
        )
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
