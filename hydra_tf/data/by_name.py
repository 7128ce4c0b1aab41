"""Datasets by name."""

from __future__ import annotations

import os
from typing import Any

from hydra_tf.data import sources
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import DatasetInfo


def names() -> tuple[str, ...]:
    """Returns the names in the table; `load` accepts others, too."""
    return DATASETS.names


def info(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    image_size: int | tuple[int, int] | None = None,
    image_channels: int | None = None,
    test_fraction: float = 0.2,
    download: bool = True,
) -> DatasetInfo:
    """Returns what is known about a dataset before its images are read.

    A folder's files are listed, a dataset of TFDS that is not in the table is
    prepared, a function is called.

    Args:
        name: As for `load`; the other arguments as well.
        data_dir: Folder that holds (or gets) the datasets of TFDS.
        image_size: Height and width of the images, or one number for both.
        image_channels: 1, 3 or 4.
        test_fraction: Share held out where there is no test split.
        download: Whether a dataset that is not in `data_dir` may be fetched.

    Raises:
        InputError: If there is no such dataset.

    Example:

    >>> info("cifar10").image_shape
    (32, 32, 3)
    """
    return sources.find(
        name,
        data_dir=data_dir,
        image_size=image_size,
        image_channels=image_channels,
        test_fraction=test_fraction,
        download=download,
    ).info


def register(dataset: DatasetInfo | str, *, help: str = "") -> Any:
    """Makes `load` and the binaries know a dataset by name.

    With a name it returns a decorator for a function without arguments, which
    returns `(train, test)` or `(train, test, class_names)`. Each part is a pair
    of arrays `(images, labels)`, a `tf.data.Dataset` of such pairs (batched or
    not, in a fixed order, held in memory), or a `Pipeline`. It is called when
    the dataset is first asked for, and again once another one was.

    The binaries see what their process has imported; without that, give them
    `--dataset=package.module:function`, for which nothing is registered.

    Args:
        dataset: A name without colon; or what is fixed about a dataset of
            TensorFlow Datasets, which must know its name, or whose `target` is
            its builder.
        help: What it is, in a few words.

    Raises:
        InputError: If the name cannot be one.

    Example:

    ```python
    @hydra_tf.data.register("shapes")
    def shapes():
        return (train_images, train_labels), (test_images, test_labels)

    train = hydra_tf.data.load("shapes", "train", batch_size=32)
    ```
    """
    if isinstance(dataset, DatasetInfo):
        DATASETS.add(dataset)
        return dataset
    if not isinstance(dataset, str) or not dataset or ":" in dataset:
        raise InputError(
            "`dataset` must be a name without colon, as in "
            "@register('shapes'), or a DatasetInfo. "
            f"Received: dataset={dataset!r}"
        )
    return DATASETS.register(dataset, help=help, settings=())
