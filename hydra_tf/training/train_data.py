"""What a phase may be given to train on, all as epochs of batches."""

from __future__ import annotations

import functools
import hashlib
import warnings
from typing import Any
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import data
from hydra_tf import inputs
from hydra_tf.attacks.units import are_bytes
from hydra_tf.data.sharding import as_shard
from hydra_tf.errors import InputError
from hydra_tf.objectives import Objective
from hydra_tf.training.given_data import as_labelled
from hydra_tf.training.given_data import check_data
from hydra_tf.training.network_inputs import NetworkInputs

_BATCH_SIZE = 128


class TrainData(Protocol):
    """Epochs of batches, as those of a `hydra_tf.data.Pipeline`."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    def dataset(
        self,
        first_epoch: int = 0,
        num_epochs: int = 1,
        *,
        shard: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        """Returns the batches of some epochs, one epoch after the other.

        Args:
            first_epoch: The epoch to begin with.
            num_epochs: How many epochs to go through.
            shard: Number of a worker, and that of all: its rows of each batch.
        """


def batch_size_of(train: TrainData) -> int:
    """Returns the number of images in a batch, of those that are full.

    Args:
        train: What `as_train_data` returned.
    """
    if isinstance(train, data.Pipeline):
        return train.batch_size
    first = next(iter(train.dataset()))
    return int(tf.shape(tf.nest.flatten(first)[0])[0])


def digest_of(train: TrainData) -> str:
    """Returns a digest that tells most other data from these.

    Args:
        train: What `as_train_data` returned; of a pipeline its `digest`. Of a
            `tf.data.Dataset` its form counts, and its first batch unless that
            is drawn anew each time.
    """
    if isinstance(train, data.Pipeline):
        return train.digest()
    facts = [train.steps_per_epoch, train.dataset().element_spec]
    one, again = (_first_batch(train.dataset()) for _ in range(2))
    if one == again:
        facts.append(one)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _first_batch(batches: tf.data.Dataset) -> list[bytes]:
    batch = tf.nest.flatten(next(iter(batches)))
    return [np.asarray(each).tobytes() for each in batch]


class _Batches:
    """The batches of a `tf.data.Dataset`, the same for each epoch."""

    def __init__(self, batches: tf.data.Dataset, name: str) -> None:
        self._batches = as_labelled(batches)
        self._name = name
        self._cardinality = int(batches.cardinality())
        if self._cardinality == tf.data.INFINITE_CARDINALITY:
            raise InputError(
                f"`{name}` must be a dataset with an end, which is an epoch: "
                "leave out its `repeat`, or take the batches of an epoch, "
                "dataset.take(steps)"
            )
        if not self._cardinality:
            raise self._empty()

    def _empty(self) -> InputError:
        return InputError(
            f"`{self._name}` must hold at least one batch. Received: none"
        )

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        if self._cardinality != tf.data.UNKNOWN_CARDINALITY:
            return self._cardinality
        # Said before, as there may be no end.
        warnings.warn(
            f"`{self._name}` does not say how many batches it has, and is read "
            "once to count them; tf.data.experimental.assert_cardinality "
            "spares that",
            UserWarning,
            stacklevel=2,
        )
        count = sum(1 for _ in self._batches)
        if not count:
            raise self._empty()
        return count

    def check(
        self,
        network: keras.Model,
        objective: Objective,
        network_inputs: NetworkInputs | None = None,
    ) -> None:
        """Raises `InputError` if the first batch is not for a network."""
        check_data(
            network,
            objective,
            self._batches,
            name=self._name,
            network_inputs=network_inputs,
        )

    def dataset(
        self,
        first_epoch: int = 0,
        num_epochs: int = 1,
        *,
        shard: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        del first_epoch
        return as_shard(shard).of_batches(self._batches.repeat(num_epochs))


def check_train_data(
    train: TrainData,
    network: keras.Model,
    objective: Objective,
    name: str = "train",
    network_inputs: NetworkInputs | None = None,
) -> None:
    """Raises `InputError` if images and labels are not for a network.

    Args:
        train: What `as_train_data` returned.
        network: Keras model from images to logits.
        objective: What is minimised.
        name: The argument that they were given as.
        network_inputs: What the network takes, by default one input.
    """
    if isinstance(train, _Batches):
        train.check(network, objective, network_inputs)
        return
    if not isinstance(train, data.Pipeline):
        return
    if network_inputs is not None and network_inputs.are_several:
        raise InputError(
            f"`{name}` must be a tf.data.Dataset of dictionaries with the "
            "inputs of the network by name, and 'label'. Received: "
            f"{type(train).__name__}, of images alone"
        )
    if are_bytes(objective.clip):
        raise InputError(
            f"`{name}` must be a tf.data.Dataset for an objective of "
            f"clip={objective.clip}: arrays and pipelines train on images in "
            "[0, 1]. Or put keras.layers.Rescaling(255.0) in front of the "
            "network, and give clip=(0, 1) and radii in those units"
        )
    num_classes = inputs.num_classes_of(network)
    if num_classes is not None and train.num_classes > num_classes:
        raise InputError(
            f"`{name}` must hold classes from 0 to {num_classes - 1}, as the "
            f"network has {num_classes} logits. Received: "
            f"{train.num_classes} classes"
        )
    shape = inputs.image_shape_of(network)
    if shape is not None:
        some = tf.zeros((1, *train.image_shape))
        inputs.check_images(some, name, shape=shape)


def as_train_data(
    train: Any, seed: int, name: str = "train", training: bool = True
) -> TrainData:
    """Returns training images and labels as epochs of batches.

    Args:
        train: A `hydra_tf.data.Pipeline`, a `tf.data.Dataset` of batches, or a
            pair of arrays, which are put into batches of 128 (fewer where
            there are fewer).
        seed: Seed of the order of arrays.
        name: The argument that it was given as.
        training: Whether arrays are shuffled.

    Raises:
        InputError: If it is none of them, a dataset without end, or arrays
            that are no images and labels.

    Warns:
        UserWarning: Once `steps_per_epoch` is asked for, if the batches have
            to be counted.
    """
    if isinstance(train, data.Pipeline | _Batches):
        return train
    if isinstance(train, tf.data.Dataset):
        return _Batches(train, name)
    if isinstance(train, tuple | list) and len(train) == 2:
        images, labels = train
        batch_size = min(_BATCH_SIZE, max(1, len(images)))
        try:
            return data.from_arrays(
                images,
                labels,
                batch_size=batch_size,
                training=training,
                seed=seed,
            )
        except InputError as error:
            raise InputError(f"`{name}`: {error}") from error
    raise InputError(
        f"`{name}` must be a hydra_tf.data.Pipeline, a tf.data.Dataset of "
        f"batches or a pair of arrays. Received: {type(train).__name__}"
    )


def check_validation(
    validation: Any, train: Any, select: str, patience: int = 0
) -> None:
    """Raises `InputError` if epochs cannot be compared by images.

    Args:
        validation: What the user gave as such, `None` for nothing.
        train: What the user gave to train on.
        select: `"last"` or `"best"`.
        patience: Epochs that may be no better before a phase stops, 0 for any.
    """
    if validation is None and (select == "best" or patience):
        asking = f"`patience`={patience}" if patience else "`select`='best'"
        raise InputError(
            f"{asking} needs `validation`, images to compare epochs by; "
            "hydra_tf.data.split_validation takes them from the training images"
        )
    if validation is not None and validation is train:
        raise InputError(
            "`validation` must be other images than `train`; take them from "
            "hydra_tf.data.split_validation"
        )


def as_validation_data(validation: Any, train: TrainData) -> TrainData:
    """Returns images and labels to validate by, as one epoch of batches.

    Args:
        validation: As for `as_train_data`; arrays stay in their order.
        train: What is trained on.

    Raises:
        InputError: If it is none of them, or its images are augmented or of
            another shape.
    """
    if isinstance(validation, data.Pipeline):
        if validation.augmentation is not None or validation.cutmix:
            raise InputError(
                "`validation` must not be augmented; load it with "
                "training=False, or take it from hydra_tf.data.split_validation"
            )
        if (
            isinstance(train, data.Pipeline)
            and validation.image_shape != train.image_shape
        ):
            raise InputError(
                f"`validation` must hold images of shape {train.image_shape}, "
                f"as `train` does. Received: shape {validation.image_shape}"
            )
    return as_train_data(validation, seed=0, name="validation", training=False)
