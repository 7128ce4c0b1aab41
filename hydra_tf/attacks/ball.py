"""The images that an attack may reach: a norm ball within the image range."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.norms import norm
from hydra_tf.ops.rows import choose

# The projection on the L2 ball divides by norm + this, as the originals do.
_NORM_STABILISER = 1e-7


@dataclasses.dataclass
class Ball:
    """The images that an attack may reach: norm ball and image range.

    Attributes:
        centre: Float32 images.
        epsilon: Float32 scalar, radius.
        threat_model: Norm, `"linf"` or `"l2"`.
        clip: Float32 scalars, smallest and largest value of an image.
        lower: Linf: smallest images within ball and range.
        upper: Linf: largest images within ball and range.
    """

    centre: tf.Tensor
    epsilon: tf.Tensor
    threat_model: str
    clip: tuple[tf.Tensor, tf.Tensor]
    lower: tf.Tensor = dataclasses.field(init=False)
    upper: tf.Tensor = dataclasses.field(init=False)

    def __post_init__(self):
        # Clipping to the ball, then to the range, equals one clipping to the
        # clipped ends of the ball; they are computed once, not in every step.
        self.lower = tf.clip_by_value(self.centre - self.epsilon, *self.clip)
        self.upper = tf.clip_by_value(self.centre + self.epsilon, *self.clip)

    @classmethod
    def around(
        cls,
        centre: tf.Tensor,
        epsilon: float,
        threat_model: str,
        clip: tuple[float, float] | None,
    ) -> Ball:
        """Returns the ball of a radius, whose limits may be left out.

        Args:
            centre: Float32 images.
            epsilon: Radius.
            threat_model: Norm, `"linf"` or `"l2"`.
            clip: Least and largest value of a pixel, or `None`.
        """
        lowest, highest = (-math.inf, math.inf) if clip is None else clip
        limits = tf.cast(lowest, tf.float32), tf.cast(highest, tf.float32)
        return cls(centre, tf.cast(epsilon, tf.float32), threat_model, limits)

    def step(self, x_adv, gradient, step_size):
        """Returns the next iterate, within the ball."""
        if self.threat_model == "linf":
            direction = tf.sign(gradient)
        else:
            direction = _unit_norm(gradient)
        return self.project(x_adv + step_size * direction)

    def project(self, x_adv):
        """Returns the points as they enter the next step."""
        if self.threat_model == "linf":
            # Faster on CPUs than `tf.clip_by_value` with images as limits.
            return tf.minimum(tf.maximum(x_adv, self.lower), self.upper)
        delta = tf.clip_by_value(x_adv, *self.clip) - self.centre
        length = norm(delta, "l2", keepdims=True)
        factor = tf.where(
            length > self.epsilon,
            self.epsilon / (length + _NORM_STABILISER),
            1.0,
        )
        return self.centre + delta * factor

    def finish(self, x_adv):
        """Returns the points as they leave the attack.

        Values that are not numbers, as gradients that overflow make them, are
        those of the image.
        """
        x_adv = choose(tf.math.is_nan(x_adv), self.centre, x_adv)
        projected = self.project(x_adv)
        if self.threat_model == "linf":
            return projected
        # Where x is in range, the L2 projection can leave it by rounding only.
        return tf.clip_by_value(projected, *self.clip)

    def random_point(self, seed, indices=None):
        """Returns points uniform in the norm ball, clipped to the range."""
        if self.threat_model == "linf":
            direction = noise.uniform_like(self.centre, seed, indices)
        else:
            direction = noise.l2_ball_like(self.centre, seed, indices)
        return tf.clip_by_value(
            self.centre + self.epsilon * direction, *self.clip
        )


def _unit_norm(gradient: tf.Tensor) -> tf.Tensor:
    """Returns `gradient` with unit L2 norm per image; zero stays zero."""
    # Squares of tiny gradients underflow; scaled by the largest they do not.
    largest = norm(gradient, "linf", keepdims=True)
    gradient = tf.math.divide_no_nan(gradient, largest)
    return tf.math.divide_no_nan(gradient, norm(gradient, "l2", keepdims=True))
