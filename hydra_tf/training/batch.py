"""What a training step sees of a batch, on each replica."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.attacks.losses import class_labels
from hydra_tf.errors import InputError
from hydra_tf.ops import global_batch


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


def check_labels(network: keras.Model, y: Any) -> None:
    """Raises `InputError` if an array of labels holds one that is no class.

    Within a step a CPU fails with a text about operations, and a GPU computes
    NaN. Labels of a `tf.data` pipeline are not checked.

    Args:
        network: Keras model from images to logits.
        y: What the user passed to `fit` or `evaluate`.
    """
    outputs = getattr(network, "output_shape", None) if network.built else None
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu" or not y.size:
        return
    if not isinstance(outputs, tuple) or not isinstance(outputs[-1], int):
        return
    wrong = y[(y < 0) | (y >= outputs[-1])]
    if wrong.size:
        raise InputError(
            f"`y` must hold classes from 0 to {outputs[-1] - 1}, as the "
            f"network has {outputs[-1]} logits. Received: {wrong[0]}"
        )
