"""A function of the user's own as a dataset.

It is called without arguments and returns the training and the test part, and
perhaps the names of the classes: `(train, test)` or
`(train, test, class_names)`. A part is a pair of arrays `(images, labels)`, a
`tf.data.Dataset` of such pairs (batched or not), or a `Pipeline`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.data import checks
from hydra_tf.data.pipeline import Pipeline
from hydra_tf.data.stored import StoredSplit
from hydra_tf.data.stream import StreamedPipeline
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import DatasetInfo

_PARTS = ("train", "test")
_WANTED = (
    "(train, test) or (train, test, class_names), each part a pair of arrays "
    "(images, labels), a tf.data.Dataset of them or a Pipeline"
)
_BATCH = 256
# Of a pipeline whose content is told from another's.
_COMPARED = 256


class FunctionSource:
    """What a function returns.

    Args:
        name: What the user calls it.
        function: The function. What it returned last is kept.
        image_size: Height and width that its images must have, if given.
        image_channels: Channels that its images must have, if given.

    Raises:
        InputError: If the function returns something else.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        image_size: tuple[int, int] | None = None,
        image_channels: int | None = None,
    ) -> None:
        self._name = name
        if not callable(function):
            raise InputError(
                f"`name`={name!r} must be a function that returns {_WANTED}. "
                f"Received: {type(function).__name__}"
            )
        try:
            train, test, class_names = _called(function)
        except InputError as error:
            raise InputError(f"`name`={name!r}: {error}") from error
        self._parts = dict(zip(_PARTS, (train, test), strict=True))
        shapes = [_image_shape(part) for part in (train, test)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"`name`={name!r} must return images of one shape. Received: "
                f"{shapes[0]} to train on, {shapes[1]} to test on"
            )
        height, width, channels = shapes[0]
        for argument, given, own in (
            ("image_size", image_size, (height, width)),
            ("image_channels", image_channels, channels),
        ):
            if given not in (None, own):
                raise InputError(
                    f"`{argument}` must be left out: {name!r} decides it. "
                    f"Received: {argument}={given}, its images have {own}"
                )
        self.info = DatasetInfo(
            name=name,
            image_shape=shapes[0],
            num_classes=len(class_names),
            num_train=_count(train),
            num_test=_count(test),
            streamed=isinstance(test, StreamedPipeline),
            class_names=class_names,
            content=_digest((train, test), class_names),
        )

    def read(self, split: str) -> StoredSplit | Pipeline:
        """Returns one of the parts."""
        if split not in self._parts:
            raise InputError(
                f"`split` must be 'train' or 'test' of {self._name!r}; for a "
                f"part of one use `fraction`. Received: {split!r}"
            )
        return self._parts[split]


@functools.lru_cache(maxsize=1)
def _called(function: Callable[[], Any]) -> tuple[Any, Any, tuple[str, ...]]:
    """Returns both parts, checked, and the names of the classes."""
    result = function()
    if not isinstance(result, tuple | list) or len(result) not in (2, 3):
        raise InputError(
            f"the function must return {_WANTED}. Received: "
            f"{type(result).__name__}"
        )
    read = []
    for which, part in zip(_PARTS, result, strict=False):
        try:
            read.append(_part(part))
        except InputError as error:
            raise InputError(f"its {which} part: {error}") from error
    train, test = read
    class_names = _class_names(train, *result[2:])
    parts: list[StoredSplit | Pipeline] = []
    for which, part in zip(_PARTS, read, strict=True):
        if isinstance(part, Pipeline):
            if part.num_classes != len(class_names):
                raise InputError(
                    f"its {which} part has {part.num_classes} classes, and "
                    f"there are names for {len(class_names)}"
                )
            parts.append(part)
            continue
        images, labels = part
        try:
            checks.check_labels(labels, len(class_names))
        except InputError as error:
            raise InputError(f"its {which} part: {error}") from error
        parts.append(StoredSplit(images, labels.astype(np.int32), class_names))
    return parts[0], parts[1], class_names


def _part(part: Any) -> Pipeline | tuple[np.ndarray, np.ndarray]:
    """Returns a part as a pipeline, or as checked arrays."""
    if isinstance(part, Pipeline):
        return part
    if isinstance(part, tf.data.Dataset):
        images, labels = _arrays_of(part)
    elif isinstance(part, tuple | list) and len(part) == 2:
        try:
            images, labels = (np.asarray(each) for each in part)
        except ValueError as error:  # Of lists of several lengths.
            raise InputError(
                f"`images` must all have one shape ({_said(error)})"
            ) from error
    else:
        raise InputError(
            "it must be a pair of arrays (images, labels), a tf.data.Dataset "
            f"of them or a Pipeline. Received: {type(part).__name__}"
        )
    checks.check_shapes(images, labels)
    images = checks.check_pixels(images)
    checks.check_labels(labels, None)
    return images, labels


def _arrays_of(dataset: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of a dataset, which memory has to hold."""
    spec = dataset.element_spec
    parts = spec if isinstance(spec, tuple) else ()
    ranks = [each.shape.rank for each in parts if hasattr(each, "shape")]
    if ranks not in ([3, 0], [4, 1]):
        raise InputError(
            "a tf.data.Dataset must hold pairs of an image (height, width, "
            "channels) and a label, or batches of them. "
            f"Received: {' '.join(str(spec).split())}"
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise InputError(
            "a tf.data.Dataset must end: leave out `repeat`. Received: an "
            "infinite one"
        )
    if ranks == [3, 0]:
        dataset = dataset.batch(_BATCH)
    try:
        batches = list(dataset.as_numpy_iterator())
        if not batches:
            raise InputError("a tf.data.Dataset must not be empty")
        images, labels = (
            np.concatenate(each) for each in zip(*batches, strict=True)
        )
    except (tf.errors.OpError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"a tf.data.Dataset must yield images of one shape ({_said(error)})"
        ) from error
    return images, labels


def _class_names(
    train: Pipeline | tuple[np.ndarray, np.ndarray], *given: Any
) -> tuple[str, ...]:
    if given:
        names = given[0]
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise InputError(
                "the class names must be a list of texts. Received: "
                f"{type(names).__name__}"
            )
        return tuple(map(str, names))
    if isinstance(train, Pipeline):
        return train.class_names
    return tuple(map(str, range(int(train[1].max()) + 1)))


def _image_shape(part: StoredSplit | Pipeline) -> tuple[int, int, int]:
    if isinstance(part, Pipeline):
        height, width, channels = part.image_shape
        return height, width, channels
    height, width, channels = part.images.shape[1:]
    return height, width, channels


def _count(part: StoredSplit | Pipeline) -> int:
    if isinstance(part, Pipeline):
        return part.num_examples
    return len(part.labels)


def _digest(
    parts: Sequence[StoredSplit | Pipeline], class_names: Sequence[str]
) -> str:
    digest = hashlib.sha256(repr(class_names).encode())
    for part in parts:
        if isinstance(part, Pipeline):
            images, labels = part.arrays(_COMPARED)
        else:
            images, labels = part.images, part.labels
        digest.update(f"{_count(part)} {images.shape}".encode())
        for array in (images, labels):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _said(error: BaseException) -> str:
    """Returns the type and the last line of an exception."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"
