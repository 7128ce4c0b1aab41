"""From the name of a dataset, or from arrays, to a pipeline of batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data import checks
from hydra_tf.data import selection
from hydra_tf.data import sources
from hydra_tf.data import stream
from hydra_tf.data.augmentation import Augmentation
from hydra_tf.data.memory import MemoryPipeline
from hydra_tf.data.picture_files import PicturePipeline
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.service import check_service
from hydra_tf.data.stored import SplitFiles
from hydra_tf.data.stored import StoredSplit
from hydra_tf.data.stored import fits_memory
from hydra_tf.errors import InputError

_DECODE_BATCH = 1024


def load(
    name: str,
    split: str,
    *,
    batch_size: int,
    data_dir: str | os.PathLike[str] | None = None,
    training: bool | None = None,
    augment: bool | Augmentation | None = None,
    cutmix: float = 0.0,
    fraction: float = 1.0,
    seed: int = 0,
    cache: bool = True,
    prefetch: bool = True,
    drop_remainder: bool = False,
    download: bool = True,
    image_size: int | tuple[int, int] | None = None,
    image_channels: int | None = None,
    test_fraction: float = 0.2,
    data_service: str | None = None,
) -> Pipeline:
    """Loads a split of a dataset: a known one, a folder, a function's.

    * One of `names()`. `digits` comes with scikit-learn and is prepared at
      once, without network; the others are downloaded by TFDS unless `data_dir`
      holds them. Only `imagenet2012` cannot be downloaded without an account:
      `data_dir` must hold it.
    * `"folder:PATH"`: JPEG, PNG, BMP and GIF files in a folder for each class,
      perhaps within `train/` and `test/` (or `val/`). The classes are numbered
      in the order of their names. Where these are those of ImageNet
      (`n01440764`, ...), size, crops and middles are those of `imagenet2012`,
      and the pictures are read from their files.
    * `"tfds:NAME"`, `"tfds:NAME/CONFIG:VERSION"`: any dataset of TFDS that has
      images and one class for each.
    * `"package.module:function"`: what a function of the user's own returns,
      see `register`.

    Images are brought to `image_size` thus: the largest part in the middle that
    has the wanted proportions is cut out, and resized linearly, with a wider
    filter where it becomes smaller (antialiasing). Opacity is dropped, unless
    four channels are asked for. What would take more than 4 GiB is not held in
    memory but decoded batch by batch, from files each epoch.

    Args:
        name: Which dataset, see above.
        split: `"train"`, `"test"`, another split that the dataset has, or, of
            one of TFDS, a part of one such as `"train[:90%]"`.
        batch_size: Integer >= 1, examples in a batch over all replicas.
        data_dir: Folder that holds (or gets) the prepared datasets, one
            sub-folder each. Defaults to TFDS's own, `~/tensorflow_datasets`.
        training: Whether the batches are for training, which shuffles them
            anew each epoch and augments the images. Defaults to True for
            `"train"` and parts of it, otherwise False.
        augment: False for none, True for the dataset's own, or an
            `Augmentation`. By default the dataset's own (if it has one) when
            training, else none.
        cutmix: Float in [0, 1], the probability with which a training image
            gets a rectangle of another one of its batch, and with the
            rectangle's share of the area its label (CutMix). After `augment`.
        fraction: Float in (0, 1], the part of the split to use: a selection
            that keeps the classes' shares and depends on `seed` only. A smaller
            fraction is a part of a larger one. Of `imagenet2012` it is a run of
            the files, which hold the examples in random order; so the classes'
            shares are kept up to chance, and no more is read.
        seed: Integer >= 0 that selection, order and augmentation follow from.
        cache: Whether the images are held in memory decoded. Otherwise they
            are held as they are stored and decoded for each batch; the batches
            are the same. `imagenet2012` is neither.
        prefetch: Whether batches are made ahead while others are used.
        drop_remainder: Whether a last, smaller batch is left out.
        download: Whether a dataset that is not in `data_dir` may be fetched.
        image_size: Height and width that images are brought to, or one number
            for both. Defaults to the dataset's own; required for a folder and
            for images that differ in size.
        image_channels: 1 (grey), 3 (colour) or 4 (colour and opacity). Defaults
            to the dataset's own, 3 for a folder.
        test_fraction: Float in (0, 0.5], the share that is held out for testing
            where a folder or a dataset of TFDS has no test split: the same for
            every seed; of a folder's classes alike.
        data_service: Address of a dispatcher of `tf.data.service` whose worker
            reads and decodes in place of this process,
            `"grpc://host:port"`; or several separated by commas, which do so in
            turn. The batches are the same.

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
    check_service(data_service)
    source = sources.find(
        name,
        data_dir=data_dir,
        image_size=image_size,
        image_channels=image_channels,
        test_fraction=test_fraction,
        download=download,
    )
    info = source.info
    checks.check_settings(batch_size, fraction, seed)
    if training is None:
        training = split.partition("[")[0] == "train"
    checks.check_cutmix(cutmix, batch_size, training)
    stored = source.read(split)
    own = info.augmentation
    if isinstance(stored, Pipeline):
        own = stored.augmentation
        cutmix = cutmix or (stored.cutmix if training else 0.0)
    if augment is None:
        augment = training and own is not None
    settings: dict[str, Any] = {
        "batch_size": batch_size,
        "shuffle": training,
        "augmentation": _choose_augmentation(augment, own, name),
        "cutmix": float(cutmix),
        "seed": seed,
        "drop_remainder": drop_remainder,
        "prefetch": prefetch,
        "name": name,
        "split": split,
    }
    if isinstance(stored, Pipeline):
        if fraction < 1:
            raise InputError(
                f"`fraction` must be 1: {name!r} returns pipelines, take the "
                f"part there. Received: fraction={fraction}"
            )
        checks.check_batches(batch_size, len(stored), training, drop_remainder)
        return stored.with_settings(**settings).served_by(data_service)
    settings["image_shape"] = info.image_shape
    settings["class_names"] = stored.class_names
    if isinstance(stored, SplitFiles):
        shards = stored.shards
        if fraction < 1:
            shards = stream.select(shards, fraction, seed)
        num_examples = sum(shard.count for shard in shards)
        checks.check_batches(batch_size, num_examples, training, drop_remainder)
        streamed = stream.StreamedPipeline(
            shards,
            stored.parse,
            decode=stored.decode,
            is_jpeg=stored.is_jpeg,
            **settings,
        )
        return streamed.served_by(data_service)
    images, labels = stored.images, stored.labels
    checks.check_labels(labels, info.num_classes)
    if fraction < 1:
        rows = selection.select_fraction(labels, fraction, seed)
        images, labels = images[rows], labels[rows]
    checks.check_batches(batch_size, len(labels), training, drop_remainder)
    decode = stored.decode
    if stored.stays_in_files:
        pipeline = PicturePipeline(
            images,
            labels,
            decode=decode,
            is_jpeg=stored.is_jpeg,
            unreadable=stored.unreadable,  # type: ignore[arg-type]
            **settings,
        )
        return pipeline.served_by(data_service)
    if cache and decode and fits_memory(len(labels), info.image_shape):
        images = _decode_all(images, stored, info.image_shape)
        decode = None
    memory = MemoryPipeline(images, labels, decode=decode, **settings)
    return memory.served_by(data_service)


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    training: bool = True,
    augment: bool | Augmentation | None = None,
    cutmix: float = 0.0,
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
        cutmix: Float in [0, 1], as for `load`.
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
    checks.check_settings(batch_size, fraction, seed)
    checks.check_cutmix(cutmix, batch_size, training)
    images, labels = np.asarray(images), np.asarray(labels)
    if num_classes is None and class_names is not None:
        num_classes = len(class_names)
    checks.check_shapes(images, labels)
    images = checks.check_pixels(images)
    checks.check_labels(labels, num_classes)
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
        rows = selection.select_fraction(labels, fraction, seed)
        images, labels = images[rows], labels[rows]
    checks.check_batches(batch_size, len(labels), training, drop_remainder)
    return MemoryPipeline(
        images,
        labels.astype(np.int32),
        image_shape=images.shape[1:],
        class_names=class_names,
        batch_size=batch_size,
        shuffle=training,
        augmentation=_choose_augmentation(augment, None, name),
        cutmix=float(cutmix),
        seed=seed,
        drop_remainder=drop_remainder,
        prefetch=prefetch,
        name=name,
        split=split or ("train" if training else "test"),
    )


def _decode_all(
    images: np.ndarray,
    stored: StoredSplit,
    image_shape: tuple[int, int, int],
) -> np.ndarray:
    """Returns the pixels of images of a split."""
    dataset = tf.data.Dataset.from_tensor_slices(images)
    dataset = dataset.map(
        stored.decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    # Filled piece by piece: a list of batches would need twice the memory.
    pixels: np.ndarray = np.empty((len(images), *image_shape), np.uint8)
    start = 0
    try:
        for batch in dataset.batch(_DECODE_BATCH).as_numpy_iterator():
            pixels[start : start + len(batch)] = batch
            start += len(batch)
    except tf.errors.OpError as error:
        raise _unreadable(images[start:], stored, error) from error
    return pixels


def _unreadable(
    images: np.ndarray, stored: StoredSplit, error: BaseException
) -> BaseException:
    """Returns the error of the first image that cannot be decoded."""
    if stored.decode is None or stored.unreadable is None:
        return error
    for image in images:
        try:
            stored.decode(tf.constant(image))
        except tf.errors.OpError as own_error:
            return stored.unreadable(image, own_error)
    return error


def _choose_augmentation(
    augment: bool | Augmentation | None, own: Augmentation | None, name: str
) -> Augmentation | None:
    if augment is None or augment is False:
        return None
    if isinstance(augment, Augmentation):
        return augment
    if augment is not True:
        raise InputError(
            "`augment` must be a bool, None or an Augmentation. "
            f"Received: augment={augment!r}"
        )
    if own is None:
        raise InputError(
            f"`augment` cannot be True: {name!r} has no augmentation of its "
            "own. Pass one, for example CropFlip(), or leave it out"
        )
    return own
