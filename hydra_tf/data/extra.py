"""Semi-supervised training: pseudo-labelled images in every batch.

The images of an `.npz` file, or of a dataset, are a fixed share of every batch.
An epoch is counted by the labelled images; those with pseudo-labels are gone
through in an order of their own, from where the epoch before left off. Both are
shuffled and augmented alike.

Reference:

- [Carmon et al., 2019](https://arxiv.org/abs/1905.13736)
"""

from __future__ import annotations

import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import files
from hydra_tf.data.loading import from_arrays
from hydra_tf.data.loading import load
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.sharding import Shard
from hydra_tf.data.sharding import Turn
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import EXTRA_FRACTION

# Names of the images and of their classes in a file: those of
# `trainers.pseudo_label`, of generated images, and of the tiny images.
_KEYS = (
    ("images", "labels"),
    ("image", "label"),
    ("data", "extrapolated_targets"),
)
# Leads to random numbers apart from those of any labelled images.
_SEED = 2**40


def with_extra(
    train: Pipeline,
    extra_data: Any,
    extra_fraction: float = EXTRA_FRACTION.default,
    *,
    data_dir: str | os.PathLike[str] | None = None,
) -> Pipeline:
    """Adds pseudo-labelled images to every batch of training images.

    `steps_per_epoch` grows, as less of a batch is labelled: all labelled images
    are seen once in an epoch. Whoever holds images out of the result, as
    `split_validation` does, holds out labelled ones.

    Args:
        train: The labelled images; their `batch_size` stays that of the whole.
        extra_data: An `.npz` file with `images` of shape `(n, height, width,
            channels)`, uint8 or floats in [0, 1], and integer `labels` of shape
            `(n,)` (or `image` and `label`, as generated images come); a pair of
            such arrays; the name of a dataset as for `load`, of which the
            training split is taken; or a `Pipeline`.
        extra_fraction: Float in (0, 1), the share of every batch that is
            extra, rounded to whole images. Half in HYDRA.
        data_dir: As for `load`.

    Returns:
        A `Pipeline`.

    Raises:
        InputError: If the extra images are not like those of `train`, or there
            are too few of them.

    Example:

    >>> from hydra_tf import data
    >>> train = data.from_arrays(
    ...     np.zeros((6, 4, 4, 1)), [0, 1, 2, 0, 1, 2], batch_size=4)
    >>> mixed = data.with_extra(train, (np.ones((9, 4, 4, 1)), [2] * 9))
    >>> [float(np.mean(images)) for images, _ in mixed]
    [0.5, 0.5, 0.5]
    """
    if not isinstance(train, Pipeline):
        raise InputError(
            "`train` must be a hydra_tf.data.Pipeline; make one of arrays with "
            f"hydra_tf.data.from_arrays. Received: {type(train).__name__}"
        )
    count = extra_count(train.batch_size, extra_fraction)
    name = _shown(extra_data)
    extra = _as_pipeline(extra_data, train, name, data_dir)
    if extra.image_shape != train.image_shape:
        raise InputError(
            f"{name} must hold images of shape {train.image_shape}, as the "
            f"labelled ones are. Received: shape {extra.image_shape}"
        )
    _check_classes(extra, train, name)
    if len(extra) < count:
        raise InputError(
            f"{name} must hold at least {count} images, which a batch of "
            f"{train.batch_size} takes. Received: {len(extra)}"
        )
    if len(train) < train.batch_size - count and train.shuffle:
        raise InputError(
            f"`batch_size` must be at most {len(train) + count} with "
            f"{len(train)} labelled images and "
            f"`extra_fraction`={extra_fraction:g}. "
            f"Received: batch_size={train.batch_size}"
        )
    return MixedPipeline(train, extra, extra_fraction)


def extra_count(batch_size: int, extra_fraction: float) -> int:
    """Returns how many images of a whole batch are extra.

    Args:
        batch_size: Images in a batch.
        extra_fraction: Float in (0, 1).

    Raises:
        InputError: If that leaves no labelled images, or no extra ones.

    Example:

    >>> extra_count(128, 0.5)
    64
    """
    EXTRA_FRACTION.check(extra_fraction)
    count = round(batch_size * extra_fraction)
    if not 0 < count < batch_size:
        raise InputError(
            f"`extra_fraction`={extra_fraction:g} of `batch_size`={batch_size} "
            f"images is {count}: a batch needs extra and labelled ones"
        )
    return count


def content_of(extra_data: str | os.PathLike[str]) -> str:
    """Returns a digest of an `.npz` file's content, to recognise it by.

    Args:
        extra_data: The file.

    Raises:
        InputError: If it cannot be read.
    """
    path = _existing(extra_data)
    try:
        with (
            files.naming(path, "read"),
            path.open("rb") as file,
            zipfile.ZipFile(file) as archive,
        ):
            found = sorted((i.filename, i.CRC) for i in archive.infolist())
    except zipfile.BadZipFile as error:
        raise _unreadable(_shown(extra_data), str(error)) from error
    return f"{zlib.crc32(repr(found).encode()):08x}"


def is_file(extra_data: Any) -> bool:
    """Whether extra data is a file, not the name of a dataset."""
    return isinstance(extra_data, os.PathLike) or (
        isinstance(extra_data, str) and extra_data.endswith(".npz")
    )


class MixedPipeline(Pipeline):
    """Batches of labelled and of pseudo-labelled images.

    Made by `with_extra`. Labelled and extra images take turns within a batch,
    so that the replicas and workers that share it have some of both.

    Args:
        labelled: The labelled images, which all attributes are of.
        extra: The others.
        extra_fraction: Float in (0, 1), their share of every batch.
    """

    def __init__(
        self, labelled: Pipeline, extra: Pipeline, extra_fraction: float
    ) -> None:
        self._labelled = labelled
        self._extra = extra
        self.extra_fraction = extra_fraction
        self.num_extra = len(extra)
        super().__init__(
            num_examples=labelled.num_examples,
            image_shape=labelled.image_shape,  # type: ignore[arg-type]
            class_names=labelled.class_names,
            batch_size=labelled.batch_size,
            shuffle=labelled.shuffle,
            augmentation=labelled.augmentation,
            seed=labelled.seed,
            drop_remainder=labelled._drop_remainder,
            prefetch=labelled._prefetch,
            name=labelled.name,
            split=labelled.split,
            cutmix=labelled.cutmix,
        )
        self.data_service = labelled.data_service

    def known_labels(self) -> np.ndarray | None:
        return self._labelled.known_labels()

    def subset(self, rows: np.ndarray, *, training: bool = True) -> Any:
        if training:
            return super().subset(rows)
        return self._part(self._labelled, self.batch_size).subset(
            rows, training=False
        )

    def _steps(self) -> int:
        return self._labelled_part().steps_per_epoch

    def _stored(self) -> Iterable[bytes | memoryview]:
        parts = (self._labelled.digest(), self._extra.digest())
        return [f"{parts} {self.extra_fraction}".encode()]

    def _take(self, rows: np.ndarray) -> None:
        self._labelled = self._labelled.subset(rows)

    def _first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        return self._labelled.arrays(count)

    def _batches(
        self, epochs: tf.data.Dataset, shard: Shard, turn: Turn
    ) -> tf.data.Dataset:
        labelled, steps = self._labelled_part(), self.steps_per_epoch
        count = extra_count(self.batch_size, self.extra_fraction)
        extra = self._part(
            self._extra, count, seed=self.seed + _SEED, rest=False
        )
        passes = extra.steps_per_epoch

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            first = number * steps
            others = extra._chosen(
                tf.data.Dataset.range(
                    first // passes, (first + steps - 1) // passes + 1
                ),
                lambda batches: turn.of_batches(
                    batches.skip(first % passes).take(steps), first
                ),
            )
            own = labelled._batches(
                tf.data.Dataset.from_tensors(number), Shard(), turn
            )
            return tf.data.Dataset.zip((own, others)).map(
                lambda one, other: _joined(one, other, labelled.batch_size),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )

        # Labelled and extra images take turns: a worker has some of both.
        return shard.of_batches(epochs.flat_map(epoch))

    def _labelled_part(self) -> Pipeline:
        count = extra_count(self.batch_size, self.extra_fraction)
        return self._part(self._labelled, self.batch_size - count)

    def _part(
        self,
        pipeline: Pipeline,
        batch_size: int,
        *,
        seed: int | None = None,
        rest: bool = True,
    ) -> Pipeline:
        """Returns labelled or extra images under the settings of these."""
        return pipeline.with_settings(
            batch_size=batch_size,
            shuffle=self.shuffle,
            augmentation=self.augmentation,
            seed=self.seed if seed is None else seed,
            drop_remainder=self._drop_remainder or not rest,
            prefetch=False,
            name=pipeline.name,
            split=pipeline.split,
        )


def _joined(
    labelled: tuple[tf.Tensor, tf.Tensor],
    extra: tuple[tf.Tensor, tf.Tensor],
    batch_size: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns two batches as one, in which they take turns.

    Args:
        labelled: Images and labels; the last batch of an epoch may be smaller.
        extra: Images and labels, those of a whole batch.
        batch_size: Labelled images in a whole batch.
    """
    own = tf.cast(tf.shape(labelled[1])[0], tf.float64)
    whole = tf.cast(tf.shape(extra[1])[0], tf.float64)
    # As many as belong to a smaller batch.
    others = tf.maximum(tf.round(own * whole / batch_size), 1)
    places = (
        tf.range(own, dtype=tf.float64) / own,
        (tf.range(others, dtype=tf.float64) + 0.5) / others,
    )
    order = tf.argsort(tf.concat(places, 0), stable=True)
    taken = tf.cast(others, tf.int32)
    images, labels = (
        tf.gather(tf.concat([one, other[:taken]], 0), order)
        for one, other in zip(labelled, extra, strict=True)
    )
    return images, labels


def _as_pipeline(
    extra_data: Any,
    train: Pipeline,
    name: str,
    data_dir: str | os.PathLike[str] | None,
) -> Pipeline:
    """Returns extra images, whatever they were given as."""
    if isinstance(extra_data, Pipeline):
        return extra_data
    if isinstance(extra_data, str) and not is_file(extra_data):
        height, width, channels = train.image_shape
        try:
            return load(
                extra_data,
                "train",
                batch_size=1,
                data_dir=data_dir,
                augment=False,
                image_size=(height, width),
                image_channels=channels,
            )
        except InputError as error:
            text = str(error).replace("`name`", "`extra_data`")
            raise InputError(text.replace("name=", "extra_data=")) from error
    if is_file(extra_data):
        extra_data = _read(extra_data, name)
    if not isinstance(extra_data, tuple | list) or len(extra_data) != 2:
        raise InputError(
            "`extra_data` must be an .npz file, the name of a dataset, a pair "
            "of arrays or a hydra_tf.data.Pipeline. Received: "
            f"{type(extra_data).__name__}"
        )
    images, labels = map(np.asarray, extra_data)
    if images.ndim == 4 and images.shape[1:] != train.image_shape:
        raise InputError(
            f"{name} must hold images of shape {train.image_shape}, as the "
            f"labelled ones are. Received: shape {images.shape[1:]}"
        )
    try:
        return from_arrays(
            images,
            labels,
            batch_size=1,
            class_names=train.class_names,
            name="extra",
        )
    except InputError as error:
        raise InputError(f"{name} cannot be used: {error}") from error


def _read(
    extra_data: str | os.PathLike[str], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images and labels of an `.npz` file."""
    path = _existing(extra_data)
    try:
        with files.naming(path, "read"), path.open("rb") as file:
            # NumPy takes files of a single array, too.
            if not zipfile.is_zipfile(file):
                raise _unreadable(name, "it is no zip archive")
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            for keys in _KEYS:
                if set(keys) <= set(arrays.files):
                    return arrays[keys[0]], arrays[keys[1]]
            found = ", ".join(arrays.files[:6]) or "nothing"
    except InputError:
        raise
    # Whatever NumPy, zipfile and zlib say of a file of another kind.
    except Exception as error:
        reason = "it holds Python objects, which are not loaded"
        if "allow_pickle" not in str(error) and "pickle" not in str(error):
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise _unreadable(name, reason) from error
    raise InputError(
        f"{name} must hold the arrays `images` and `labels`. Received: {found}"
    )


def _existing(extra_data: str | os.PathLike[str]) -> pathlib.Path:
    path = files.as_path(extra_data)
    if not files.is_file(path):
        reason = "is a folder" if files.is_dir(path) else "does not exist"
        raise InputError(
            f"{_shown(extra_data)} {reason}; give an .npz file with the "
            "arrays `images` and `labels`, or the name of a dataset"
        )
    return path


def _unreadable(name: str, reason: str) -> InputError:
    return InputError(
        f"{name} must be an .npz file of numpy.savez with the arrays `images` "
        f"and `labels`: {reason}"
    )


def _check_classes(extra: Pipeline, train: Pipeline, name: str) -> None:
    """Raises `InputError` unless labels mean the same."""
    theirs, ours = extra.class_names, train.class_names
    numbered = any(
        all(each.isdigit() for each in names) for names in (theirs, ours)
    )
    fits = len(theirs) <= len(ours) if numbered else theirs == ours
    if not fits:
        raise InputError(
            f"{name} must have the classes of the labelled images, "
            f"{_few(ours)}. Received: {_few(theirs)}"
        )


def _few(names: tuple[str, ...]) -> str:
    more = f", ... ({len(names)})" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _shown(extra_data: Any) -> str:
    if isinstance(extra_data, str | os.PathLike):
        return f"`extra_data`={os.fspath(extra_data)}"
    return "`extra_data`"
