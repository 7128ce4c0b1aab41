"""Batches of images and labels, the same ones in every run and after a resume.

A split is held in memory. Which examples make up a batch, and how they are
augmented, follows from the seed, the epoch and the example alone, so an
iteration can start at any epoch and see what an uninterrupted one would see.
"""

from __future__ import annotations

import fractions
import math
import os
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hydra_tf.data import registry
from hydra_tf.data import tfds_source
from hydra_tf.data.augmentation import Augmentation
from hydra_tf.errors import InputError

# The independent random streams of an epoch.
_ORDER_STREAM = 0
_AUGMENTATION_STREAM = 1
_MAX_SEED = 2**31 - 1
_DECODE_BATCH = 1024


class Pipeline:
    """A split of a dataset that is ready to be iterated over.

    Made by `load` and `from_arrays`; the arguments are their results and are
    not checked again.

    Args:
        images: Array or tensor of all images, uint8 in 0..255 or float32 in
            [0, 1], of shape `(num_examples, height, width, channels)`; or of
            encoded images, of shape `(num_examples,)`, together with `decode`.
        labels: int32 array of shape `(num_examples,)`.
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
        decode: Function from one encoded image to its uint8 pixels.

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
        seed: The seed.
    """

    def __init__(
        self,
        images: np.ndarray | tf.Tensor,
        labels: np.ndarray,
        *,
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
        decode: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        with tf.device("CPU:0"):  # A split has no business on a GPU.
            self._images = tf.convert_to_tensor(images)
            self._labels = tf.convert_to_tensor(labels, tf.int32)
        self._decode = decode
        self._drop_remainder = drop_remainder
        self._prefetch = prefetch
        self.name = name
        self.split = split
        self.num_examples = len(labels)
        self.batch_size = batch_size
        self.image_shape = tuple(image_shape)
        self.class_names = tuple(class_names)
        self.num_classes = len(self.class_names)
        self.shuffle = shuffle
        self.augmentation = augmentation
        self.seed = seed
        batches = self.num_examples / batch_size
        self.steps_per_epoch = int(
            math.floor(batches) if drop_remainder else math.ceil(batches)
        )

    def __repr__(self) -> str:
        return (
            f"Pipeline(name={self.name!r}, split={self.split!r}, "
            f"num_examples={self.num_examples}, batch_size={self.batch_size}, "
            f"image_shape={self.image_shape}, num_classes={self.num_classes})"
        )

    def dataset(
        self, first_epoch: int = 0, num_epochs: int = 1
    ) -> tf.data.Dataset:
        """Returns the batches of some epochs, one epoch after the other.

        Epoch `i` is the same whatever `first_epoch` is: the same examples in
        the same batches, augmented alike.

        Args:
            first_epoch: Integer >= 0, the epoch to begin with.
            num_epochs: Integer >= 1, how many epochs to go through.

        Returns:
            A `tf.data.Dataset` of `num_epochs * steps_per_epoch` pairs: images,
            float32 of shape `(batch_size, height, width, channels)` in [0, 1],
            and labels, int32 of shape `(batch_size,)`.

        Example:

        >>> pipe = from_arrays(np.zeros((6, 8, 8, 1)), [0, 1, 2, 0, 1, 2],
        ...                    batch_size=4)
        >>> [len(labels) for _, labels in pipe.dataset(num_epochs=2)]
        [4, 2, 4, 2]
        """
        if first_epoch < 0 or num_epochs < 1:
            raise InputError(
                "`first_epoch` must be >= 0 and `num_epochs` >= 1. Received: "
                f"first_epoch={first_epoch}, num_epochs={num_epochs}"
            )
        dataset = tf.data.Dataset.range(first_epoch, first_epoch + num_epochs)
        dataset = dataset.flat_map(self._index_batches)
        dataset = dataset.map(
            self._assemble,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        dataset = dataset.apply(
            tf.data.experimental.assert_cardinality(
                num_epochs * self.steps_per_epoch
            )
        )
        if self._prefetch:
            dataset = dataset.prefetch(tf.data.AUTOTUNE)
        options = tf.data.Options()
        options.deterministic = True
        # Several workers share the batches out by position; there are no files.
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
        rows = tf.range(min(num_examples or len(self), len(self)))
        return (
            _to_unit_range(self._pixels(rows)).numpy(),
            tf.gather(self._labels, rows).numpy(),
        )

    def __len__(self) -> int:
        return self.num_examples

    def _index_batches(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Returns which examples, with which random numbers, form the batches.

        The numbers are drawn for all examples in stored order; so they do not
        depend on where the shuffle puts an example.
        """
        seed = tf.random.fold_in(tf.constant([self.seed, 0], tf.int64), epoch)
        rows = tf.range(self.num_examples)
        if self.shuffle:
            rows = tf.random.experimental.stateless_shuffle(
                rows, seed=tf.random.fold_in(seed, _ORDER_STREAM)
            )
        parts: tuple[tf.Tensor, ...] = (rows,)
        if self.augmentation is not None:
            numbers = self.augmentation.draw(
                self.num_examples,
                tf.random.fold_in(seed, _AUGMENTATION_STREAM),
            )
            parts += (tf.gather(numbers, rows),)
        return tf.data.Dataset.from_tensor_slices(parts).batch(
            self.batch_size, drop_remainder=self._drop_remainder
        )

    def _assemble(
        self, rows: tf.Tensor, numbers: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images = self._pixels(rows)
        if self.augmentation is not None:
            images = self.augmentation.apply(images, numbers)
        return _to_unit_range(images), tf.gather(self._labels, rows)

    def _pixels(self, rows: tf.Tensor) -> tf.Tensor:
        images = tf.gather(self._images, rows)
        if self._decode is not None:
            images = tf.map_fn(
                self._decode,
                images,
                fn_output_signature=tf.TensorSpec(self.image_shape, tf.uint8),
            )
        return images


def load(
    name: str,
    split: str,
    *,
    batch_size: int,
    data_dir: str | os.PathLike[str] | None = None,
    training: bool | None = None,
    augment: bool | Augmentation | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    cache: bool = True,
    prefetch: bool = True,
    drop_remainder: bool = False,
    download: bool = True,
) -> Pipeline:
    """Loads a split of a named dataset through TensorFlow Datasets.

    `digits` comes with scikit-learn and is prepared at once, without network;
    the others are downloaded by TFDS unless `data_dir` holds them.

    Args:
        name: One of `names()`.
        split: `"train"`, `"test"`, another split that the dataset has, or a
            part of one such as `"train[:90%]"`.
        batch_size: Integer >= 1, examples in a batch over all replicas.
        data_dir: Folder that holds (or gets) the prepared datasets, one
            sub-folder each. Defaults to TFDS's own, `~/tensorflow_datasets`.
        training: Whether the batches are for training, which shuffles them
            anew each epoch and augments the images. Defaults to True for
            `"train"` and parts of it, otherwise False.
        augment: False for none, True for the dataset's own, or an
            `Augmentation`. By default the dataset's own (if it has one) when
            training, else none.
        fraction: Float in (0, 1], the part of the split to use: a selection
            that keeps the classes' shares and depends on `seed` only. A smaller
            fraction is a part of a larger one.
        seed: Integer >= 0 that selection, order and augmentation follow from.
        cache: Whether the images are held in memory decoded. Otherwise they
            are held as they are stored and decoded for each batch; the batches
            are the same.
        prefetch: Whether batches are made ahead while others are used.
        drop_remainder: Whether a last, smaller batch is left out.
        download: Whether a dataset that is not in `data_dir` may be fetched.

    Returns:
        A `Pipeline`.

    Raises:
        InputError: If an argument cannot be used, or the dataset is neither in
            `data_dir` nor to be had.

    Example:

    ```python
    train = load("cifar10", "train", batch_size=128, seed=1)
    model.fit(
        train.dataset(first_epoch=3, num_epochs=7),
        steps_per_epoch=train.steps_per_epoch,
        initial_epoch=3,
        epochs=10,
    )
    ```
    """
    info = registry.info(name)
    _check_settings(batch_size, fraction, seed)
    if training is None:
        training = split.partition("[")[0] == "train"
    if augment is None:
        augmentation = info.augmentation if training else None
    else:
        augmentation = _choose_augmentation(augment, info.augmentation, name)
    stored = tfds_source.read_split(
        name, split, data_dir=data_dir, download=download
    )
    images, labels = stored.images, stored.labels
    _check_labels(labels, info.num_classes)
    if fraction < 1:
        rows = select_fraction(labels, fraction, seed)
        images, labels = images[rows], labels[rows]
    _check_batches(batch_size, len(labels), drop_remainder)
    decode: Callable[[tf.Tensor], tf.Tensor] | None = stored.decode
    if cache:
        images = _decode_all(images, stored.decode, info.image_shape)
        decode = None
    return Pipeline(
        images,
        labels,
        image_shape=info.image_shape,
        class_names=stored.class_names,
        batch_size=batch_size,
        shuffle=training,
        augmentation=augmentation,
        seed=seed,
        drop_remainder=drop_remainder,
        prefetch=prefetch,
        name=name,
        split=split,
        decode=decode,
    )


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    training: bool = True,
    augment: bool | Augmentation | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    prefetch: bool = True,
    drop_remainder: bool = False,
    name: str = "arrays",
    split: str | None = None,
) -> Pipeline:
    """Makes the same kind of pipeline from arrays of one's own.

    Args:
        images: Array of shape `(num_examples, height, width, channels)`: uint8
            pixels in 0..255, which are divided by 255, or floats in [0, 1].
        labels: Integer array of shape `(num_examples,)`.
        batch_size: Integer >= 1, examples in a batch over all replicas.
        num_classes: Integer; labels lie in `[0, num_classes)`. Defaults to the
            number of `class_names`, or the largest label plus one.
        class_names: One name per class. Defaults to the numbers.
        training: Whether each epoch is shuffled. Defaults to True.
        augment: An `Augmentation`, or None or False for none.
        fraction: Float in (0, 1], as for `load`.
        seed: Integer >= 0 that selection, order and augmentation follow from.
        prefetch: Whether batches are made ahead while others are used.
        drop_remainder: Whether a last, smaller batch is left out.
        name: What to call the data.
        split: What to call the split. Defaults to `"train"` or `"test"`.

    Returns:
        A `Pipeline`.

    Raises:
        InputError: If images and labels do not fit together or lie outside
            their ranges, or another argument cannot be used.
    """
    _check_settings(batch_size, fraction, seed)
    images, labels = np.asarray(images), np.asarray(labels)
    if num_classes is None and class_names is not None:
        num_classes = len(class_names)
    _check_shapes(images, labels)
    images = _check_pixels(images)
    _check_labels(labels, num_classes)
    if num_classes is None:
        num_classes = int(labels.max()) + 1
    if class_names is None:
        class_names = [str(label) for label in range(num_classes)]
    if len(class_names) != num_classes:
        raise InputError(
            "`class_names` must hold one name per class, "
            f"{num_classes}. Received: {len(class_names)} names"
        )
    if fraction < 1:
        rows = select_fraction(labels, fraction, seed)
        images, labels = images[rows], labels[rows]
    _check_batches(batch_size, len(labels), drop_remainder)
    return Pipeline(
        images,
        labels.astype(np.int32),
        image_shape=images.shape[1:],
        class_names=class_names,
        batch_size=batch_size,
        shuffle=training,
        augmentation=_choose_augmentation(augment, None, name),
        seed=seed,
        drop_remainder=drop_remainder,
        prefetch=prefetch,
        name=name,
        split=split or ("train" if training else "test"),
    )


def select_fraction(
    labels: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """Returns the rows of a selection with (nearly) the classes' shares.

    All rows are put in one order, and the first `ceil(fraction * n)` are taken,
    so a smaller fraction is contained in a larger one. In that order each class
    is spread evenly, its examples being shuffled by the seed.

    Args:
        labels: Integer array of shape `(n,)`.
        fraction: Float in (0, 1], taken at its decimal value.
        seed: Integer >= 0.

    Returns:
        Increasing row numbers, at least one.
    """
    # RandomState's streams are frozen for good, unlike those of Generator.
    shuffled = np.random.RandomState(seed).permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = shuffled[np.argsort(position[shuffled], kind="stable")]
    # In binary, 0.07 * 100 is above 7 and would take 8.
    count = math.ceil(fractions.Fraction(str(float(fraction))) * len(labels))
    return np.sort(order[:count])


def _decode_all(
    images: np.ndarray,
    decode: Callable[[tf.Tensor], tf.Tensor],
    image_shape: tuple[int, int, int],
) -> np.ndarray:
    dataset = tf.data.Dataset.from_tensor_slices(images)
    dataset = dataset.map(
        decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    # Filled piece by piece: a list of batches would need twice the memory.
    pixels: np.ndarray = np.empty((len(images), *image_shape), np.uint8)
    start = 0
    for batch in dataset.batch(_DECODE_BATCH).as_numpy_iterator():
        pixels[start : start + len(batch)] = batch
        start += len(batch)
    return pixels


def _to_unit_range(images: tf.Tensor) -> tf.Tensor:
    if images.dtype != tf.uint8:
        return images
    # Division, not a product with 1/255: 255 becomes exactly 1.
    return tf.cast(images, tf.float32) / 255.0


def _choose_augmentation(
    augment: bool | Augmentation | None, own: Augmentation | None, name: str
) -> Augmentation | None:
    if augment is None or augment is False:
        return None
    if isinstance(augment, Augmentation):
        return augment
    if augment is not True:
        raise TypeError(
            "`augment` must be a bool, None or an Augmentation. "
            f"Received: augment={augment!r}"
        )
    if own is None:
        raise InputError(
            f"`augment` cannot be True: {name!r} has no augmentation of its "
            "own. Pass one, for example CropFlip(), or leave it out"
        )
    return own


def _check_settings(batch_size: int, fraction: float, seed: int) -> None:
    if batch_size < 1:
        raise InputError(
            f"`batch_size` must be >= 1. Received: batch_size={batch_size}"
        )
    if not 0 < fraction <= 1:
        raise InputError(
            "`fraction` must be in (0, 1]: the part of the split to use. "
            f"Received: fraction={fraction}"
        )
    if not 0 <= seed <= _MAX_SEED:
        raise InputError(
            f"`seed` must be in [0, {_MAX_SEED}]. Received: seed={seed}"
        )


def _check_batches(
    batch_size: int, num_examples: int, drop_remainder: bool
) -> None:
    if drop_remainder and batch_size > num_examples:
        raise InputError(
            f"`batch_size` must be at most {num_examples}, the number of "
            "examples, when the remainder is dropped. "
            f"Received: batch_size={batch_size}"
        )


def _check_shapes(images: np.ndarray, labels: np.ndarray) -> None:
    if images.ndim != 4 or not images.size:
        raise InputError(
            "`images` must have the shape (num_examples, height, width, "
            f"channels), none of them 0. Received: shape {images.shape}"
        )
    if labels.ndim != 1 or len(labels) != len(images):
        raise InputError(
            "`labels` must hold one integer per image, shape "
            f"({len(images)},). Received: shape {labels.shape}"
        )


def _check_pixels(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            "`images` must be floats in [0, 1] or uint8 in 0..255. "
            f"Received: dtype {images.dtype}"
        )
    smallest, largest = images.min(), images.max()
    # Negated so that a NaN, which compares false with everything, is caught.
    if not (smallest >= 0 and largest <= 1):
        raise InputError(
            "`images` must lie in [0, 1]; divide pixels of 0..255 by 255 or "
            "pass them as uint8. "
            f"Received: values from {smallest} to {largest}"
        )
    return images.astype(np.float32)


def _check_labels(labels: np.ndarray, num_classes: int | None) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"`labels` must be integers. Received: dtype {labels.dtype}"
        )
    top = math.inf if num_classes is None else num_classes
    if labels.min() < 0 or labels.max() >= top:
        classes = "" if num_classes is None else f", num_classes={num_classes}"
        raise InputError(
            "`labels` must be in [0, num_classes). Received: labels from "
            f"{labels.min()} to {labels.max()}{classes}"
        )
