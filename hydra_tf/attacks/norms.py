"""The size of perturbations in a norm, and of gradients in its dual."""

from __future__ import annotations

import tensorflow as tf

from hydra_tf.attacks import noise


def norm(x: tf.Tensor, threat_model: str, keepdims: bool = False) -> tf.Tensor:
    """Returns the norm of each row, shape `(rows,)`.

    Args:
        x: Float tensor of shape `(rows, ...)`.
        threat_model: `"linf"` or `"l2"`.
        keepdims: Whether the shape is `(rows, 1, ..., 1)`.
    """
    axes = noise.image_axes(x)
    if threat_model == "linf":
        return tf.reduce_max(tf.abs(x), axis=axes, keepdims=keepdims)
    squares = tf.reduce_sum(tf.square(x), axis=axes, keepdims=keepdims)
    return tf.sqrt(squares)


def dual_norm(x: tf.Tensor, threat_model: str) -> tf.Tensor:
    """Returns by how much a linear function rises at most, shape `(rows,)`.

    Args:
        x: Its gradients, shape `(rows, ...)`.
        threat_model: Norm in which one goes a length of 1.
    """
    if threat_model == "linf":
        return tf.reduce_sum(tf.abs(x), axis=noise.image_axes(x))
    return norm(x, "l2")
