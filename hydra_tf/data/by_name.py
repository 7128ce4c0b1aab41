"""Datasets by name."""

from __future__ import annotations

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import DatasetInfo


def names() -> tuple[str, ...]:
    """Returns the names that `load` accepts."""
    return DATASETS.names


def info(name: str) -> DatasetInfo:
    """Returns what is known about the dataset called `name`.

    Args:
        name: One of `names()`.

    Raises:
        InputError: If there is no such dataset.

    Example:

    >>> info("cifar10").image_shape
    (32, 32, 3)
    """
    if name not in DATASETS:
        raise InputError(
            "`name` must be a known dataset. "
            f"{close_matches(name, DATASETS.names)} Received: name={name!r}"
        )
    return DATASETS.entry(name)


def register(dataset: DatasetInfo) -> None:
    """Makes `load` know a dataset.

    Args:
        dataset: What is fixed about it. TensorFlow Datasets must know its name,
            or `target` be its builder.
    """
    DATASETS.add(dataset)
