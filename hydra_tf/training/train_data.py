"""What a phase may be given to train on, all as epochs of batches."""

from __future__ import annotations

from typing import Any
from typing import Protocol

import tensorflow as tf

from hydra_tf import data
from hydra_tf.errors import InputError

_BATCH_SIZE = 128


class TrainData(Protocol):
    """Epochs of batches, as those of a `hydra_tf.data.Pipeline`.

    Attributes:
        steps_per_epoch: Batches in an epoch.
    """

    steps_per_epoch: int

    def dataset(
        self, first_epoch: int = 0, num_epochs: int = 1
    ) -> tf.data.Dataset:
        """Returns the batches of some epochs, one epoch after the other."""


class _Batches:
    """The batches of a `tf.data.Dataset`, the same for each epoch."""

    def __init__(self, batches: tf.data.Dataset) -> None:
        self._batches = batches
        self.steps_per_epoch = int(batches.cardinality())
        if self.steps_per_epoch < 1:
            raise InputError(
                "`train` must be a dataset of a known number of batches; "
                "apply tf.data.experimental.assert_cardinality. "
                f"Received: cardinality={self.steps_per_epoch}"
            )

    def dataset(
        self, first_epoch: int = 0, num_epochs: int = 1
    ) -> tf.data.Dataset:
        del first_epoch
        return self._batches.repeat(num_epochs)


def as_train_data(train: Any, seed: int) -> TrainData:
    """Returns training images and labels as epochs of batches.

    Args:
        train: A `hydra_tf.data.Pipeline`, a `tf.data.Dataset` of batches, or a
            pair of arrays, which are shuffled and put into batches of 128
            (fewer where there are fewer).
        seed: Seed of the order of arrays.

    Raises:
        InputError: If it is none of them.
    """
    if isinstance(train, data.Pipeline):
        return train
    if isinstance(train, tf.data.Dataset):
        return _Batches(train)
    if isinstance(train, tuple | list) and len(train) == 2:
        images, labels = train
        batch_size = min(_BATCH_SIZE, max(1, len(images)))
        return data.from_arrays(
            images, labels, batch_size=batch_size, seed=seed
        )
    raise InputError(
        "`train` must be a hydra_tf.data.Pipeline, a tf.data.Dataset of "
        f"batches or a pair of arrays. Received: {type(train).__name__}"
    )
