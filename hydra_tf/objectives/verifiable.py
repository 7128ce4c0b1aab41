"""Objectives that bound the network's outputs in place of an attack."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf.objectives.base import Objective
from hydra_tf.schedules import Schedule
from hydra_tf.schedules import as_schedule


class VerifiableObjective(Objective):
    """Base of the objectives whose loss holds for all images within a radius.

    `perturb` returns the images as they are. The bounds take batch
    normalisation in inference mode, with the statistics from before the step;
    one pass of the natural images in training mode then moves them.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius; boxes are clipped to
            [0, 1].
    """

    perturbs = False

    def __init__(self, *, epsilon: float | Schedule = 2 / 255):
        self.epsilon = epsilon
        self._epsilon = as_schedule("epsilon", epsilon, minimum=0.0)

    def check_network(self, network: keras.Model) -> None:
        bounds.check_supported(network)


def propagation_and_spec(
    model: Any, x: tf.Tensor, y: tf.Tensor, epsilon: float | tf.Tensor
) -> tuple[bounds.BoundPropagation, tf.Tensor]:
    """Returns what computes margins within a radius: bounds and margins' form.

    Args:
        model: Keras model, or a wrapper around one: see
            `hydra_tf.bounds.network_of`.
        x: Images of shape `(batch, ...)` in [0, 1].
        y: Integer labels, shape `(batch,)` or `(batch, 1)`.
        epsilon: Linf radius.
    """
    lower, upper = bounds.input_box(x, epsilon)
    num_classes = bounds.network_of(model).output_shape[-1]
    spec = bounds.margin_spec(y, num_classes, lower.dtype)
    return bounds.BoundPropagation(model, lower, upper), spec


def margin_cross_entropy(margins: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy of the worst logits, mean over the batch.

    These logits are 0 for the label and minus the margin for each other class.

    Args:
        margins: Float tensor `(batch, classes - 1)`, lower bounds of the
            label's logit minus the others.
    """
    worst = tf.pad(-margins, [[0, 0], [1, 0]])
    loss = tf.reduce_mean(tf.reduce_logsumexp(worst, axis=-1))
    return tf.cast(loss, tf.float32)


def certified_share(margins: tf.Tensor) -> tf.Tensor:
    """Returns the share of the images whose margins are all above zero."""
    certified = tf.reduce_all(margins > 0, axis=-1)
    return tf.reduce_mean(tf.cast(certified, tf.float32))
