"""Losses per example, from float32 logits, that attacks climb.

Objectives build on the same functions. All are stable for any finite logits.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.registry.settings import Choice

# Added to z_y - max z_c in the margin loss: far beyond the margins of trained
# networks, so that the attack keeps pushing after the label is lost.
MARGIN_CONFIDENCE = 50.0

# Added to the denominator of a difference of logits ratio.
_RATIO_STABILISER = 1e-12

_LOSS = Choice(
    name="loss",
    choices=("ce", "kl", "margin"),
    default="ce",
    help="What an attack climbs.",
)


def class_labels(y: tf.Tensor) -> tf.Tensor:
    """Returns int32 or int64 labels of shape `(batch,)`.

    Args:
        y: Integers of any size, of shape `(batch,)` or `(batch, 1)`.

    Raises:
        InputError: If `y` has another shape or holds floats.
    """
    y = inputs.as_array(y)
    inputs.check_labels(y)
    y = tf.reshape(y, [-1])
    # TensorFlow's losses and lookups take no others.
    return y if y.dtype in (tf.int32, tf.int64) else tf.cast(y, tf.int64)


def most_likely(y: tf.Tensor) -> tf.Tensor:
    """Returns the int32 classes of labels, of soft ones the likeliest.

    Args:
        y: Integers of shape `(batch,)` or `(batch, 1)`, or floats of shape
            `(batch, classes)`.
    """
    if inputs.is_distribution(y):
        return tf.argmax(y, axis=-1, output_type=tf.int32)
    return tf.cast(class_labels(y), tf.int32)


def misclassified(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns whether each image is classified as another class.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)`.
    """
    return tf.argmax(logits, axis=-1, output_type=y.dtype) != y


def cross_entropy(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns `-log softmax(logits)[y]`, shape `(batch,)`.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`; or a distribution
            over the classes for each image, `(batch, classes)`, by which the
            classes are weighted.
    """
    y = tf.convert_to_tensor(y)
    if inputs.is_distribution(y):
        return tf.nn.softmax_cross_entropy_with_logits(
            labels=tf.cast(y, logits.dtype), logits=logits
        )
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=class_labels(y), logits=logits
    )


def kl_divergence(
    natural_logits: tf.Tensor, adversarial_logits: tf.Tensor
) -> tf.Tensor:
    """Returns `KL(softmax(natural) || softmax(adversarial))`, shape `(batch,)`.

    Gradients flow through both arguments.

    Args:
        natural_logits: Float32 tensor of shape `(batch, classes)`.
        adversarial_logits: The same.
    """
    log_natural = tf.nn.log_softmax(natural_logits)
    log_adversarial = tf.nn.log_softmax(adversarial_logits)
    return tf.reduce_sum(
        tf.exp(log_natural) * (log_natural - log_adversarial), axis=-1
    )


def largest_other(values: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns the largest value of each row besides that of the label.

    Args:
        values: Float tensor of shape `(batch, classes)`, two classes or more.
        y: Integer labels, shape `(batch,)`.
    """
    is_label = tf.one_hot(
        y, tf.shape(values)[-1], on_value=True, off_value=False
    )
    return tf.reduce_max(tf.where(is_label, values.dtype.min, values), axis=-1)


def lead(logits: tf.Tensor, ahead: tf.Tensor, behind: tf.Tensor) -> tf.Tensor:
    """Returns by how much the logit of one class exceeds that of another.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        ahead: Integer classes, shape `(batch,)`.
        behind: The same.
    """
    return _of_class(logits, ahead) - _of_class(logits, behind)


def margin(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns by how much the logit of the label exceeds the others.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)`.
    """
    return _of_class(logits, y) - largest_other(logits, y)


def margin_loss(
    logits: tf.Tensor, y: tf.Tensor, confidence: float = MARGIN_CONFIDENCE
) -> tf.Tensor:
    """Returns `-max(z_y - max_{c != y} z_c + confidence, 0)`, shape `(batch,)`.

    The margin loss of Carlini and Wagner with its sign turned, so that climbing
    it lowers the margin until it falls below `-confidence`.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`.
        confidence: Margin in favour of another class at which the loss stops
            growing.

    Reference:

    - [Carlini and Wagner, 2017](https://arxiv.org/abs/1608.04644)
    """
    return -tf.nn.relu(margin(logits, class_labels(y)) + confidence)


def dlr_loss(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns the difference of logits ratio, shape `(batch,)`.

    `-(z_y - max_{c != y} z_c) / (z_(1) - z_(3))`, where `z_(k)` is the k-th
    largest logit: unlike the cross-entropy it does not change when all logits
    are scaled, so that no gradient vanishes for their size. It is positive
    where the label is not the prediction. Of two classes it is the
    numerator alone, as the ratio would be constant.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`.

    Reference:

    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    ahead = -margin(logits, class_labels(y))
    if num_classes(logits) < 3:
        return ahead
    top = tf.math.top_k(logits, 3).values
    return ahead / (top[:, 0] - top[:, 2] + _RATIO_STABILISER)


def dlr_targeted_loss(
    logits: tf.Tensor, y: tf.Tensor, target: tf.Tensor
) -> tf.Tensor:
    """Returns the difference of logits ratio towards a class, `(batch,)`.

    `-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2)`; of three classes without
    `z_(4)`, of two the numerator alone. See `dlr_loss`.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`.
        target: Integer classes, shape `(batch,)`, whose logits are to rise.
    """
    ahead = lead(logits, target, class_labels(y))
    classes = num_classes(logits)
    if classes < 3:
        return ahead
    top = tf.math.top_k(logits, min(classes, 4)).values
    below = tf.reduce_mean(top[:, 2:], axis=-1)
    return ahead / (top[:, 0] - below + _RATIO_STABILISER)


def ranked_other(logits: tf.Tensor, y: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """Returns the classes besides the label of a rank, shape `(batch,)`.

    Args:
        logits: Float32 tensor of shape `(batch, classes)`.
        y: Integer labels, shape `(batch,)`.
        rank: Integer from 0 to the number of classes - 2; 0 stands for the
            class of the largest logit.
    """
    is_label = tf.one_hot(
        y, tf.shape(logits)[-1], on_value=True, off_value=False
    )
    others = tf.where(is_label, -float("inf"), logits)
    order = tf.argsort(others, direction="DESCENDING", stable=True)
    return tf.cast(tf.gather(order, rank, axis=-1), y.dtype)


def _of_class(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    return tf.gather(logits, classes, axis=-1, batch_dims=1)


def num_classes(logits: tf.Tensor) -> int:
    """Returns the number of classes, which must be known in a graph."""
    classes = logits.shape[-1]
    if classes is None:
        raise InputError(
            "`model` must return logits of a known number of classes. "
            f"Received: shape={tuple(logits.shape)}"
        )
    return classes


def attack_loss(
    loss: str, y: tf.Tensor | None, natural_logits: tf.Tensor | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the function from logits to losses per example to be climbed.

    Args:
        loss: `"ce"`, `"kl"` or `"margin"`.
        y: Labels, shape `(batch,)`, by `"ce"` also `(batch, classes)`; unused
            by `"kl"`.
        natural_logits: Float32 logits of the unperturbed images; used by
            `"kl"` only.
    """
    _LOSS.check(loss)
    if loss == "ce":
        return lambda logits: cross_entropy(logits, y)
    if loss == "margin":
        return lambda logits: margin_loss(logits, y)
    # KL(p || q) = cross-entropy(p, q) - entropy(p), and p is constant during
    # the attack: same gradient and same order, in a single fused operation.
    target = tf.stop_gradient(tf.nn.softmax(natural_logits))
    return lambda logits: tf.nn.softmax_cross_entropy_with_logits(
        labels=target, logits=logits
    )
