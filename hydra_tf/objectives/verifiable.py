"""Objectives that bound the network's outputs in place of an attack."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.registry.objectives import CLIP
from hydra_tf.registry.objectives import EPSILON
from hydra_tf.schedules import Schedule
from hydra_tf.schedules import as_schedule
from hydra_tf.schedules import ramp

if TYPE_CHECKING:
    from typing_extensions import Self

    from hydra_tf.bounds import BoundPropagation


class VerifiableObjective(Objective):
    """Base of the objectives whose loss holds for all images within a radius.

    `perturb` returns the images as they are. The bounds take batch
    normalisation in inference mode, with the statistics from before the step;
    one pass of the natural images in training mode then moves them.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius.
        clip: Least and largest value of a pixel, to which the boxes are
            clipped, or `None` for no limits.
    """

    needs_bounds = True

    def __init__(
        self,
        *,
        epsilon: float | Schedule = 2 / 255,
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self.epsilon = epsilon
        self.clip = CLIP.check(clip)
        as_schedule(EPSILON, epsilon)  # Whatever the images' range.
        self._epsilon = as_schedule(EPSILON.within("linf", clip), epsilon)

    def check_network(self, network: keras.Model) -> None:
        from hydra_tf import bounds

        bounds.check_supported(network)

    def with_ramp(
        self, start: float, end: float, shape: str = "linear"
    ) -> Self:
        if not end:
            return self
        if isinstance(self.epsilon, Schedule):
            raise InputError(
                "`epsilon` is a schedule already: leave the ramp out, or give "
                f"the objective a number. Received: epsilon={self.epsilon!r}"
            )
        return self.changed(epsilon=ramp(shape, start, end, self.epsilon))

    @property
    def full_from_epoch(self) -> float:
        return self._epsilon.end_epoch

    def propagation(
        self,
        model: Any,
        x: tf.Tensor,
        y: tf.Tensor,
        epsilon: float | tf.Tensor,
    ) -> tuple[BoundPropagation, tf.Tensor]:
        """Returns bounds on a network, and the form of its margins.

        Args:
            model: Functional or Sequential Keras model, or a `RobustModel`.
            x: Images of shape `(batch, ...)`, within `clip`.
            y: Integer labels, shape `(batch,)` or `(batch, 1)`.
            epsilon: Linf radius.
        """
        from hydra_tf import bounds

        network = bounds.network_of(model)
        lower, upper = bounds.input_box(x, epsilon, self.clip)
        spec = bounds.margin_spec(y, network.output_shape[-1], lower.dtype)
        return bounds.BoundPropagation(network, lower, upper), spec


def margin_cross_entropy(
    margins: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns the cross-entropy of the worst logits, mean over the batch.

    These logits are 0 for the label and minus the margin for each other class.

    Args:
        margins: Float tensor `(batch, classes - 1)`, lower bounds on the
            label's logit minus the others.
        weights: Float32 tensor `(batch,)`, weights in the sum over the batch
            that takes the place of the mean.
    """
    worst = tf.pad(-margins, [[0, 0], [1, 0]])
    return _mean(tf.reduce_logsumexp(worst, axis=-1), weights)


def certified_share(
    margins: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns the share of the images whose margins are all above zero.

    Args:
        margins: See `margin_cross_entropy`.
        weights: See `margin_cross_entropy`.
    """
    return _mean(tf.reduce_all(margins > 0, axis=-1), weights)


def _mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    values = tf.cast(values, tf.float32)
    if weights is None:
        return tf.reduce_mean(values)
    return tf.reduce_sum(weights * values)
