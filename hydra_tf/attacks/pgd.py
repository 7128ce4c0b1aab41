"""Projected gradient descent, with restarts.

The steps and the restarts are rolled loops, so the memory that an attack needs
does not grow with their number. Nothing flows back through an attack. (Only a
`tf.GradientTape` that is open outside of any `tf.function` records every step
of an attack called within it, in vain: call the attack before opening it.)
"""

from __future__ import annotations

import numbers
from collections.abc import Callable

import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.checks import check_attack_settings
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.checks import checked_images
from hydra_tf.attacks.checks import checked_labels
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import computing_kernels_once
from hydra_tf.attacks.losses import attack_loss
from hydra_tf.attacks.losses import misclassified
from hydra_tf.attacks.losses import most_likely
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.attacks.restarts import worst_of_restarts
from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import NUM_RESTARTS
from hydra_tf.registry.calls import checked_call


@tf.autograph.experimental.do_not_convert
@checked_call
@computing_kernels_once
def pgd(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    threat_model: str = "linf",
    loss: str = "ce",
    start: tf.Tensor | None = None,
    random_start: bool = True,
    num_restarts: int = 1,
    clip: tuple[float, float] | None = (0.0, 1.0),
    seed: noise.Seed = None,
    indices: tf.Tensor | None = None,
    natural_logits: tf.Tensor | None = None,
) -> tf.Tensor:
    """Projected gradient descent: images in the ball that raise the loss.

    Each step costs a forward pass and an input gradient. The network runs in
    inference mode.

    * Linf: `x_adv + step_size * sign(gradient)`, projected on
      `[x - epsilon, x + epsilon]`, clipped to the image range.
    * L2: `x_adv + step_size * gradient / norm(gradient)`, clipped to the image
      range, projected on the ball. An image whose gradient is zero stays.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(batch, ...)`, within `clip`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`; for the losses
            `"ce"` and `"kl"` also one-hot or soft ones, `(batch, classes)`.
            None stands for the model's own predictions on `x`.
        epsilon: Float >= 0, radius of the ball; for Linf within the range of
            the images.
        step_size: Float >= 0, length of a step in the norm of the ball.
        num_steps: Integer >= 0; may be a tensor.
        threat_model: `"linf"` or `"l2"`.
        loss: What the attack climbs: `"ce"`, cross-entropy; `"kl"`, divergence
            of the predictions from those on `x`; `"margin"`, best other logit
            against that of the label.
        start: Starting points, shape of `x`, used as they are even outside the
            ball. By default drawn according to `random_start`.
        random_start: Whether to start uniformly within the ball, clipped to the
            image range, rather than at `x`.
        num_restarts: Integer >= 1, number of attacks from different starting
            points. Of each image the worst result is kept: misclassified
            before classified, then the highest loss. The first begins at
            `start`, if given.
        clip: Least and largest value of a pixel, or `None` for no limits.
        seed: None for fresh noise at every call, an integer or an int32 tensor
            of shape `(2,)` for noise that only depends on it, whatever the
            number of replicas that share the global batch.
        indices: Integers of shape `(batch,)`, by default 0, 1 and so on: the
            indices of the images where `x` is part of a larger set. With a
            seed, an image's noise depends on seed, restart and index alone.
        natural_logits: Logits of `x` in inference mode, if known; saves a
            forward pass with `loss="kl"`.

    Returns:
        Perturbed images, with shape and dtype of `x`.

    Raises:
        InputError: If an argument is out of its range, or `x` is not within
            `clip`.

    Example:
    ```python
    x_adv = pgd(
        model, x, y, epsilon=8 / 255, step_size=2 / 255, num_steps=50,
        num_restarts=10, seed=0,
    )
    ```

    Reference:

    - [Madry et al., 2018](https://arxiv.org/abs/1706.06083)
    - [Zhang et al., 2019](https://arxiv.org/abs/1901.08573), the loss `"kl"`
    """
    check_attack_settings(
        epsilon=epsilon,
        step_size=step_size,
        num_steps=num_steps,
        threat_model=threat_model,
        clip=clip,
    )
    _check_restarts(num_restarts, random_start)
    check_model(model)
    x = checked_images(x, model, clip)
    images = tf.cast(x, tf.float32)
    logits_of = as_logits_function(model)
    if natural_logits is None and (loss == "kl" or y is None):
        natural_logits = logits_of(images)
    if natural_logits is not None:
        natural_logits = tf.cast(natural_logits, tf.float32)
    if y is None:
        y = tf.argmax(natural_logits, axis=-1)
    y = checked_labels(y, x, model, soft=loss != "margin")
    loss_of = attack_loss(loss, y, natural_logits)
    ball = Ball.around(images, epsilon, threat_model, clip)
    seed = noise.as_seed(seed)

    if start is not None:
        start = tf.cast(tf.convert_to_tensor(start), tf.float32)
        start = tf.ensure_shape(start, images.shape)

    def draw_start(restart):
        if not random_start:
            return images
        return ball.random_point(restart_seed(seed, restart), indices)

    def start_of(restart):
        if start is None:
            return draw_start(restart)
        if isinstance(restart, int):
            return start
        return tf.where(restart == 0, start, draw_start(restart))

    def attack(restart):
        return _climb(
            lambda x_adv: loss_of(logits_of(x_adv)),
            ball,
            start_of(restart),
            tf.cast(step_size, tf.float32),
            num_steps,
        )

    if isinstance(num_restarts, numbers.Integral) and num_restarts == 1:
        x_adv = attack(0)
    else:
        x_adv = worst_of_restarts(
            num_restarts,
            images,
            attack,
            lambda point: _outcome(logits_of(point), y, loss_of),
        )
    return tf.stop_gradient(tf.cast(x_adv, x.dtype))


def _climb(
    losses_of: Callable[[tf.Tensor], tf.Tensor],
    ball: Ball,
    start: tf.Tensor,
    step_size: tf.Tensor,
    num_steps: int | tf.Tensor,
) -> tf.Tensor:
    """Returns the points reached from `start` after `num_steps` steps."""

    def climb_once(x_adv):
        # Only the images are watched: no weight gradient is ever computed.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            # The sum: no example's gradient depends on the batch size.
            total = tf.reduce_sum(losses_of(x_adv))
        gradient = tape.gradient(
            total, x_adv, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return tf.ensure_shape(
            ball.step(x_adv, gradient, step_size), ball.centre.shape
        )

    if isinstance(num_steps, numbers.Integral) and num_steps == 1:
        return ball.finish(climb_once(start))
    num_steps = tf.cast(num_steps, tf.int32)
    _, x_adv = tf.while_loop(
        lambda step, _: step < num_steps,
        lambda step, x_adv: (step + 1, climb_once(x_adv)),
        (tf.constant(0), start),
        parallel_iterations=1,
    )
    return ball.finish(x_adv)


def _outcome(logits, y, loss_of) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns whether each image is misclassified, and its loss."""
    return misclassified(logits, most_likely(y)), loss_of(logits)


def _check_restarts(num_restarts: int, random_start: bool) -> None:
    NUM_RESTARTS.check(num_restarts)
    if not random_start and not tf.is_tensor(num_restarts):
        if num_restarts > 1:
            raise InputError(
                "`num_restarts` above 1 needs `random_start=True`: from the "
                "same point every restart ends the same. "
                f"Received: num_restarts={num_restarts}"
            )
