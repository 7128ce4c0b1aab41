"""What a training step sees of a batch, on each replica."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.losses import class_labels
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.ops import global_batch

# In the words of TensorFlow's cross-entropy on CPUs.
_NO_CLASS = re.compile(
    r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)"
)


class Batch:
    """The images and labels of a replica, and how much they count.

    The parts of a global batch that does not divide evenly count by their
    size. A replica that is left without images, by a last batch smaller than
    the number of replicas, computes with an image of another replica, which
    counts nothing: layers fail on empty batches, and their statistics are NaN.

    Attributes:
        x: Images, at least one.
        y: Integer labels, shape `(batch,)`.
        rows: Integer scalar, number of images that count.
        share: Their share of the global batch.
    """

    def __init__(self, data: Any) -> None:
        self.x, self.y = _images_and_labels(data)
        self.rows = tf.shape(self.x)[0]
        self.share: float | tf.Tensor = 1.0
        self._part: global_batch.Part | None = None
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync == 1:
            return
        self._part = global_batch.divided(self.rows)
        self.share = tf.cast(self.rows / self._part.total, tf.float32)
        spare = replica.all_gather(self.x[:1], axis=0)
        num_spare = tf.cast(tf.equal(self.rows, 0), tf.int32)
        self.x = tf.concat([self.x, spare[:num_spare]], axis=0)
        self.y = tf.pad(self.y, [[0, num_spare]])

    def drawn_by_row(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which replicas draw what one device would."""
        if self._part is None:
            return contextlib.nullcontext()
        return global_batch.taken(self._part)


def _images_and_labels(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        raise InputError("training a robust model needs labels: pass `y`")
    if sample_weight is not None:
        raise InputError(
            "`sample_weight` and `class_weight` are not supported: objectives "
            "are means over the batch"
        )
    return tf.convert_to_tensor(x), class_labels(tf.cast(y, tf.int32))


def check_data(
    network: keras.Model,
    objective: Objective,
    x: Any,
    y: Any = None,
    name: str = "x",
) -> None:
    """Raises `InputError` if images or labels cannot be what is meant.

    Of arrays all are looked at; of a `tf.data.Dataset` and a Keras `PyDataset`
    the first batch; of generators none. Within a step wrong values would train
    on, or fail with a text about operations.

    Args:
        network: Keras model from images to logits.
        objective: Whose `clip` the images lie within.
        x: What the user passed to `fit` or `evaluate`.
        y: The same.
        name: The argument that a dataset was given as.
    """
    names = ("x", "y")
    if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(_first_batch(x, name))
        names = (f"images of {name}", f"labels of {name}")
    if _is_array(x):
        inputs.check_images(
            x,
            names[0],
            clip=objective.clip,
            shape=inputs.image_shape_of(network),
            takes_clip=True,
        )
    if _is_array(y):
        inputs.check_labels(
            y,
            names[1],
            num_images=inputs.num_images_of(x) if _is_array(x) else None,
            num_classes=inputs.num_classes_of(network),
            whole_floats=True,
        )


@contextlib.contextmanager
def labels_named() -> Iterator[None]:
    """Turns TensorFlow's error about a label of a later batch into one line."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _NO_CLASS.search(str(error))
        if found is None:
            raise
        label, num_classes = map(int, found.groups())
        raise InputError(
            f"`y` must hold classes from 0 to {num_classes - 1}, as the "
            f"network has {num_classes} logits. Received: {label}"
        ) from error


def _first_batch(batches: Any, name: str) -> Any:
    if isinstance(batches, keras.utils.PyDataset):
        return batches[0]
    for batch in batches:
        return batch
    raise InputError(f"`{name}` must hold one batch or more. Received: none")


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or tf.is_tensor(value)
