"""Batches of images and labels, the same ones in every run and after a resume.

Which examples make up a batch, and how they are augmented, follows from the
seed, the epoch and the example alone, so an iteration can start at any epoch
and see what an uninterrupted one would see.
"""

from __future__ import annotations

import abc
import copy
import hashlib
import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from hydra_tf.data.augmentation import Augmentation
from hydra_tf.data.cutmix import cutmix
from hydra_tf.data.service import check_service
from hydra_tf.data.service import served
from hydra_tf.data.sharding import Shard
from hydra_tf.data.sharding import Turn
from hydra_tf.data.sharding import as_shard
from hydra_tf.errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self

# The independent random streams of an epoch.
ORDER_STREAM = 0
AUGMENTATION_STREAM = 1
# Images that are compared with those of another process, of any source.
_FEW = 64


class Pipeline(abc.ABC):
    """A split of a dataset that is ready to be iterated over.

    Iterating goes through the batches of the first epoch; `dataset` gives the
    batches of any epochs, for `fit`.

    Made by `load` and `from_arrays`; the arguments are their results and are
    not checked again. Subclasses know where the images are.

    Args:
        num_examples: Number of examples, after `fraction`.
        image_shape: `(height, width, channels)`.
        class_names: One name per class.
        batch_size: Examples in a batch.
        shuffle: Whether each epoch has an order of its own.
        augmentation: What each image goes through, or None.
        seed: Integer that order and augmentation follow from.
        drop_remainder: Whether a last, smaller batch is left out.
        prefetch: Whether batches are made ahead while others are used.
        name: Name of the dataset.
        split: Name of the split.
        cutmix: Probability with which an image is mixed with another one of
            its batch.

    Attributes:
        name: Name of the dataset.
        split: Name of the split.
        num_examples: Number of examples, after `fraction`.
        batch_size: Examples in a batch.
        steps_per_epoch: Batches in an epoch.
        image_shape: `(height, width, channels)`.
        num_classes: Number of classes.
        class_names: One name per class.
        shuffle: Whether each epoch has an order of its own.
        augmentation: What each image goes through, or None.
        cutmix: Probability with which an image is mixed with another one.
        seed: The seed.
        num_extra: Number of pseudo-labelled images beside them.
        extra_fraction: Share of every batch that is pseudo-labelled.
        data_service: Where the batches are made, `None` for here; see
            `served_by`.
    """

    num_extra = 0
    extra_fraction = 0.0

    def __init__(
        self,
        *,
        num_examples: int,
        image_shape: tuple[int, int, int],
        class_names: Sequence[str],
        batch_size: int,
        shuffle: bool,
        augmentation: Augmentation | None,
        seed: int,
        drop_remainder: bool,
        prefetch: bool,
        name: str,
        split: str,
        cutmix: float = 0.0,
    ) -> None:
        self._drop_remainder = drop_remainder
        self._prefetch = prefetch
        self.name = name
        self.split = split
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.image_shape = tuple(image_shape)
        self.class_names = tuple(class_names)
        self.num_classes = len(self.class_names)
        self.shuffle = shuffle
        self.augmentation = augmentation
        self.cutmix = cutmix
        self.seed = seed
        self.data_service: str | None = None
        self.steps_per_epoch = self._steps()

    def served_by(self, data_service: str | None) -> Self:
        """Returns the same pipeline, whose batches others make.

        Args:
            data_service: Address of a dispatcher of `tf.data.service`, such as
                `"grpc://host:5000"`, or several separated by commas; `None`
                for this process.

        Raises:
            InputError: If none answers there.
        """
        result = copy.copy(self)
        result.data_service = check_service(data_service)
        return result

    def with_settings(
        self,
        *,
        batch_size: int,
        shuffle: bool,
        augmentation: Augmentation | None,
        seed: int,
        drop_remainder: bool,
        prefetch: bool,
        name: str,
        split: str,
        cutmix: float = 0.0,
    ) -> Pipeline:
        """Returns a pipeline of the same examples under other settings."""
        result = copy.copy(self)
        result.batch_size = batch_size
        result.shuffle = shuffle
        result.augmentation = augmentation
        result.cutmix = cutmix
        result.seed = seed
        result._drop_remainder = drop_remainder
        result._prefetch = prefetch
        result.name = name
        result.split = split
        result.steps_per_epoch = result._steps()
        return result

    def _steps(self) -> int:
        batches = self.num_examples / self.batch_size
        return int(
            math.floor(batches) if self._drop_remainder else math.ceil(batches)
        )

    def __repr__(self) -> str:
        return (
            f"Pipeline(name={self.name!r}, split={self.split!r}, "
            f"num_examples={self.num_examples}, batch_size={self.batch_size}, "
            f"image_shape={self.image_shape}, num_classes={self.num_classes})"
        )

    def dataset(
        self,
        first_epoch: int = 0,
        num_epochs: int = 1,
        *,
        first_step: int = 0,
        shard: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        """Returns the batches of some epochs, one epoch after the other.

        Epoch `i` is the same whatever `first_epoch` is: the same examples in
        the same batches, augmented alike.

        Args:
            first_epoch: Integer >= 0, the epoch to begin with.
            num_epochs: Integer >= 1, how many epochs to go through.
            first_step: Integer >= 0, batches of the first epoch that are left
                out, as they were done before an interruption; no image of
                them is decoded.
            shard: `(index, count)`, the number of a worker, from 0, and that
                of all that train together: its rows of each of these batches.
                No other images are decoded, and of files of pictures, or of
                records that are shuffled, no other read, unless images of a
                batch are mixed or some of them are extra.

        Returns:
            A `tf.data.Dataset` of `num_epochs * steps_per_epoch` pairs, less
            `first_step`: images, float32 of shape `(batch_size, height, width,
            channels)` in [0, 1], and labels, int32 of shape `(batch_size,)`.

        Example:

        >>> from hydra_tf import data
        >>> pipe = data.from_arrays(np.zeros((6, 8, 8, 1)), [0, 1, 2, 0, 1, 2],
        ...                         batch_size=4)
        >>> [len(labels) for _, labels in pipe.dataset(num_epochs=2)]
        [4, 2, 4, 2]
        """
        if first_epoch < 0 or num_epochs < 1:
            raise InputError(
                "`first_epoch` must be >= 0 and `num_epochs` >= 1. Received: "
                f"first_epoch={first_epoch}, num_epochs={num_epochs}"
            )
        if not 0 <= first_step < self.steps_per_epoch:
            raise InputError(
                f"`first_step` must be from 0 to {self.steps_per_epoch - 1}, "
                f"a batch of the epoch. Received: first_step={first_step}"
            )
        first = first_epoch * self.steps_per_epoch + first_step
        part = as_shard(shard)
        epochs = tf.data.Dataset.range(first_epoch, first_epoch + num_epochs)
        dataset = served(
            self.data_service,
            lambda turn: self._made(epochs, part, turn),
            first,
        ).apply(
            tf.data.experimental.assert_cardinality(
                num_epochs * self.steps_per_epoch - first_step
            )
        )
        if self.cutmix:
            dataset = self._mixed(dataset, first)
            dataset = part.of_batches(dataset)
        if self._prefetch:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        options = tf.data.Options()
        options.deterministic = True
        # Several workers share the batches out by position, not the files.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return dataset.with_options(options)

    def arrays(
        self, num_examples: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first examples, in stored order and not augmented.

        Args:
            num_examples: Integer >= 1, how many; all of them by default, and
                when there are fewer.

        Returns:
            float32 images in [0, 1] and int32 labels.
        """
        if num_examples is not None and num_examples < 1:
            raise InputError(
                "`num_examples` must be >= 1. "
                f"Received: num_examples={num_examples}"
            )
        return self._first(min(num_examples or len(self), len(self)))

    def subset(self, rows: np.ndarray, *, training: bool = True) -> Self:
        """Returns a pipeline of some of the examples.

        Args:
            rows: Their numbers in stored order, increasing, from 0.
            training: Whether they are shuffled and augmented as these are;
                otherwise all of them come as they are, in stored order.
        """
        part = copy.copy(self)
        part._take(rows)
        part.num_examples = len(rows)
        if not training:
            part.shuffle, part.augmentation, part.cutmix = False, None, 0.0
            part._drop_remainder = False
        part.steps_per_epoch = part._steps()
        return part

    def known_labels(self) -> np.ndarray | None:
        """Returns all labels where they are in memory, else `None`."""
        return None

    def digest(self) -> str:
        """Returns a digest that tells other images and labels from these.

        All count of a split in memory; of one that stays in its files their
        names, the labels as far as they are known, and the first images.
        """
        labels = self.known_labels()
        facts = [self.num_examples, self.batch_size, self.class_names]
        result = hashlib.sha256(repr(facts).encode())
        for each in self.arrays(_FEW):
            result.update(each.data)
        if labels is not None:
            result.update(np.asarray(labels).data)
        for part in self._stored():
            result.update(part)
        return result.hexdigest()[:16]

    def __iter__(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        return iter(self.dataset())

    def __len__(self) -> int:
        return self.num_examples

    def _made(
        self, epochs: tf.data.Dataset, shard: Shard, turn: Turn
    ) -> tf.data.Dataset:
        # Images are mixed with any others of their batch.
        return self._batches(epochs, Shard() if self.cutmix else shard, turn)

    @abc.abstractmethod
    def _batches(
        self, epochs: tf.data.Dataset, shard: Shard, turn: Turn
    ) -> tf.data.Dataset:
        """Returns the batches of a dataset of epoch numbers.

        Args:
            epochs: The numbers.
            shard: Whose rows of a batch.
            turn: Which batches, of all epochs counted together.
        """

    def _chosen(
        self,
        epochs: tf.data.Dataset,
        choose: Callable[[tf.data.Dataset], tf.data.Dataset],
    ) -> tf.data.Dataset:
        """Returns the batches that a function leaves of all.

        Args:
            epochs: The numbers of epochs.
            choose: Returns some elements of a dataset, as they are.
        """
        return choose(self._batches(epochs, Shard(), Turn()))

    @abc.abstractmethod
    def _stored(self) -> Iterable[bytes | memoryview]:
        """Returns what tells where the images are, or what; see `digest`."""

    @abc.abstractmethod
    def _take(self, rows: np.ndarray) -> None:
        """Leaves some of the examples; see `subset`."""

    @abc.abstractmethod
    def _first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first images and labels; see `arrays`."""

    def _mixed(
        self, batches: tf.data.Dataset, first_step: int
    ) -> tf.data.Dataset:
        """Returns batches within each of which images are mixed.

        Here and not as an augmentation, which sees a single example: mixed
        alike wherever the images are read from.
        """
        # Not the stream of `_seed_of`, which counts epochs, not steps.
        stream = tf.constant([self.seed, 1], tf.int64)

        def mix(
            step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            seed = tf.random.fold_in(stream, step)
            return cutmix(*batch, seed, probability=self.cutmix)

        return batches.enumerate(first_step).map(
            mix, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def _seed_of(self, epoch: tf.Tensor) -> tf.Tensor:
        """Returns the seed that all random numbers of an epoch follow from."""
        return tf.random.fold_in(tf.constant([self.seed, 0], tf.int64), epoch)
