"""What is attacked, as an attack computes with it."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.checks import checked_images
from hydra_tf.attacks.checks import checked_labels
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import computing_kernels_once
from hydra_tf.attacks.losses import misclassified
from hydra_tf.ops.rows import row_indices


@dataclasses.dataclass(frozen=True)
class Attacked:
    """A network, and the images that it is to get wrong.

    Attributes:
        logits_of: From float32 images to float32 logits, in inference mode.
        images: Float32 images.
        labels: Integers, shape `(batch,)`.
        indices: Int64, shape `(batch,)`, of the images in a larger set.
        logits: Of the images.
        dtype: Of the images as they were given.
        clip: Float32 scalars, least and largest value of a pixel.
    """

    logits_of: Callable[[tf.Tensor], tf.Tensor]
    images: tf.Tensor
    labels: tf.Tensor
    indices: tf.Tensor
    logits: tf.Tensor
    dtype: tf.DType
    clip: tuple[tf.Tensor, tf.Tensor]

    @property
    def right(self) -> tf.Tensor:
        """Which images the network gets right."""
        return tf.logical_not(misclassified(self.logits, self.labels))

    def ball(self, centre: tf.Tensor, epsilon: Any, threat_model: str) -> Ball:
        """Returns the ball around images."""
        epsilon = tf.cast(epsilon, tf.float32)
        return Ball(centre, epsilon, threat_model, self.clip)

    def finished(self, x_adv: tf.Tensor) -> tf.Tensor:
        """Returns perturbed images as an attack returns them."""
        return tf.stop_gradient(tf.cast(x_adv, self.dtype))


def attacked(
    model: Model,
    x: Any,
    y: Any,
    *,
    indices: Any = None,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> Attacked:
    """Returns what users hand to an attack, checked.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Images.
        y: Labels, or `None` for the predictions on `x`.
        indices: Of the images, or `None`.
        clip: Least and largest value of a pixel, or `None`.

    Raises:
        InputError: If one of them is not what it should be.
    """
    check_model(model)
    x = checked_images(x, model, clip)
    images = tf.cast(x, tf.float32)
    logits_of = as_logits_function(model)
    logits = logits_of(images)
    if y is None:
        y = tf.argmax(logits, axis=-1)
    lowest, highest = (-math.inf, math.inf) if clip is None else clip
    return Attacked(
        logits_of=logits_of,
        images=images,
        labels=checked_labels(y, x, model, logits.shape[-1]),
        indices=row_indices(x, indices),
        logits=logits,
        dtype=x.dtype,
        clip=(tf.cast(lowest, tf.float32), tf.cast(highest, tf.float32)),
    )


def run_in_graph(model: Model, attack: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Returns what an attack of thousands of steps returns, not run eagerly.

    Args:
        model: The network; if it is masked, its masks are computed once.
        attack: Function without arguments.
    """
    run = functools.partial(computing_kernels_once(lambda _: attack()), model)
    if tf.executing_eagerly():
        run = tf.function(run, autograph=False)
    return run()
