"""What a training step sees of a batch, on each replica."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.losses import class_labels
from hydra_tf.attacks.losses import most_likely
from hydra_tf.errors import InputError
from hydra_tf.ops import global_batch
from hydra_tf.training.network_inputs import NetworkInputs

# In the words of TensorFlow's cross-entropy on CPUs.
_NO_CLASS = re.compile(
    r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)"
)
_NOT_ONE_HOT = "labels of a batch are soft"

# Where a batch that is a dictionary has its labels, and their weights.
_LABELS = ("label", "labels", "y")
_WEIGHTS = "sample_weight"


class Batch:
    """The images and labels of a replica, and how much they count.

    The parts of a global batch that does not divide evenly count by their
    size. A replica that is left without images, by a last batch smaller than
    the number of replicas, computes with an image of another replica, which
    counts nothing: layers fail on empty batches, and their statistics are NaN.

    Args:
        data: What Keras hands to a step.
        network_inputs: What the network takes of it; `None` for images alone.
        soft_labels: Whether labels may be distributions over the classes;
            otherwise one-hot ones are made classes.

    Attributes:
        x: Images, at least one; floats.
        y: Integer labels, shape `(batch,)`, or soft ones, float32 of shape
            `(batch, classes)`.
        labels: The same as they were given, soft or not.
        classes: The int32 class of each, of soft labels the likeliest.
        weights: Float32 weights of the images in the loss, shape `(batch,)`,
            or `None`.
        others: The network's other inputs, as `NetworkInputs.select` returns
            them.
        rows: Integer scalar, number of images that count.
        share: Their share of the global batch.
    """

    def __init__(
        self,
        data: Any,
        network_inputs: NetworkInputs | None = None,
        soft_labels: bool = False,
    ) -> None:
        x, y, weights = labelled(*keras.utils.unpack_x_y_sample_weight(data))
        if y is None:
            raise no_labels(x)
        self._takes = network_inputs
        self.others: dict[str, tf.Tensor] | None = None
        if network_inputs is not None:
            x, others = network_inputs.select(x)
            if others is not None:
                self.others = {
                    name: tf.convert_to_tensor(each)
                    for name, each in others.items()
                }
        self.x = tf.convert_to_tensor(x)
        if self.x.dtype.is_integer:
            self.x = tf.cast(self.x, tf.float32)
        y = tf.convert_to_tensor(y)
        if inputs.is_distribution(y):
            self.labels = tf.cast(y, tf.float32)
        else:
            self.labels = class_labels(tf.cast(y, tf.int32))
        self.weights = None
        if weights is not None:
            self.weights = tf.reshape(tf.cast(weights, tf.float32), [-1])
        self.rows = tf.shape(self.x)[0]
        self.share: float | tf.Tensor = 1.0
        self._part: global_batch.Part | None = None
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            self._fill(replica)
        self.classes = most_likely(self.labels)
        self.y = self.labels
        if inputs.is_distribution(self.labels) and not soft_labels:
            self.y = _of_one_hot(self.labels, self.classes)

    def attacked(self, network: keras.Model) -> Any:
        """Returns a network as a function of the images alone.

        Args:
            network: The network.
        """
        if self._takes is None:
            return network
        return self._takes.attacked(self.others)

    def drawn_by_row(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which replicas draw what one device would."""
        if self._part is None:
            return contextlib.nullcontext()
        return global_batch.taken(self._part)

    def _fill(self, replica: Any) -> None:
        """Takes an image of another replica if there is none here."""
        self._part = global_batch.divided(self.rows)
        self.share = tf.cast(self.rows / self._part.total, tf.float32)
        num_spare = tf.cast(tf.equal(self.rows, 0), tf.int32)

        def filled(tensor: tf.Tensor) -> tf.Tensor:
            spare = replica.all_gather(tensor[:1], axis=0)
            return tf.concat([tensor, spare[:num_spare]], axis=0)

        self.x, self.labels, self.weights, self.others = tf.nest.map_structure(
            lambda each: None if each is None else filled(each),
            (self.x, self.labels, self.weights, self.others),
        )


def labelled(x: Any, y: Any = None, weights: Any = None) -> tuple[Any, ...]:
    """Returns images, labels and weights, out of a dictionary if need be.

    Args:
        x: Images, or the inputs of a network; or a dictionary that holds these
            and the labels, as `"label"`, and perhaps `"sample_weight"`.
        y: Labels, `None` for those in the dictionary.
        weights: Weights of the images, likewise.
    """
    if y is not None or not isinstance(x, Mapping):
        return x, y, weights
    name = next((name for name in _LABELS if name in x), None)
    if name is None:
        return x, None, weights
    x = dict(x)
    y, weights = x.pop(name), x.pop(_WEIGHTS, weights)
    return x, y, weights


@contextlib.contextmanager
def labels_named() -> Iterator[None]:
    """Turns TensorFlow's error about a label of a later batch into one line."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if _NOT_ONE_HOT in str(error):
            raise InputError(
                "`y` must hold one class per image, as an index or one-hot, as "
                "the objective is not defined for soft labels. Received: rows "
                "without a 1"
            ) from error
        found = _NO_CLASS.search(str(error))
        if found is None:
            raise
        label, num_classes = map(int, found.groups())
        raise InputError(
            f"`y` must hold classes from 0 to {num_classes - 1}, as the "
            f"network has {num_classes} logits. Received: {label}"
        ) from error


def _of_one_hot(labels: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Returns the classes of one-hot labels; soft ones are an error."""
    is_one_hot = tf.abs(tf.reduce_max(labels, axis=-1) - 1.0) < 1e-3
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(is_one_hot), [_NOT_ONE_HOT])]
    ):
        return tf.identity(classes)


def no_labels(x: Any) -> InputError:
    """Returns the error for a batch without labels.

    Args:
        x: What it holds instead.
    """
    if isinstance(x, Mapping):
        received = ", ".join(repr(key) for key in x)
        return InputError(
            "training a robust model needs labels: a batch that is a "
            f"dictionary must hold them as 'label'. Received: {received}"
        )
    return InputError("training a robust model needs labels: pass `y`")
