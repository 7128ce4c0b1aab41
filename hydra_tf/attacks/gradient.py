"""Attacks that follow the sign or the direction of the input gradient.

The steps and the restarts are rolled loops, so the memory that an attack needs
does not grow with their number. Nothing flows back through an attack. (Only a
`tf.GradientTape` that is open outside of any `tf.function` records every step
of an attack called within it, in vain: call the attack before opening it.)
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.losses import attack_loss
from hydra_tf.attacks.losses import check_loss
from hydra_tf.attacks.losses import class_labels
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.layers import reuse_effective_kernels

THREAT_MODELS = ("linf", "l2")

# The projection on the L2 ball divides by norm + this, as the originals do.
_NORM_STABILISER = 1e-7


def _computing_kernels_once(attack: Callable) -> Callable:
    """Lets all calls of a masked network in an attack share its masks."""

    @functools.wraps(attack)
    def wrapped(model, *args, **kwargs):
        if not isinstance(model, keras.Layer):
            return attack(model, *args, **kwargs)
        with reuse_effective_kernels(model):
            return attack(model, *args, **kwargs)

    return wrapped


@_computing_kernels_once
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
    clip: tuple[float, float] = (0.0, 1.0),
    seed: noise.Seed = None,
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
        y: Integer labels, shape `(batch,)` or `(batch, 1)`. None stands for
            the model's own predictions on `x`.
        epsilon: Float >= 0, radius of the ball.
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
        clip: Smallest and largest value of an image.
        seed: None for fresh noise at every call, an integer or an int32 tensor
            of shape `(2,)` for noise that only depends on it, whatever the
            number of replicas that share the global batch in equal parts.
        natural_logits: Logits of `x` in inference mode, if known; saves a
            forward pass with `loss="kl"`.

    Returns:
        Perturbed images, with shape and dtype of `x`.

    Raises:
        InputError: If an argument is out of its range.

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
    check_loss(loss)
    _check_restarts(num_restarts, random_start)
    x = _images(x)
    images = tf.cast(x, tf.float32)
    logits_of = as_logits_function(model)
    if natural_logits is None and (loss == "kl" or y is None):
        natural_logits = logits_of(images)
    if natural_logits is not None:
        natural_logits = tf.cast(natural_logits, tf.float32)
    if y is None:
        y = tf.argmax(natural_logits, axis=-1)
    y = class_labels(y)
    loss_of = attack_loss(loss, y, natural_logits)
    ball = Ball(
        images,
        tf.cast(epsilon, tf.float32),
        threat_model,
        (tf.cast(clip[0], tf.float32), tf.cast(clip[1], tf.float32)),
    )
    seed = noise.as_seed(seed)

    def draw_start(restart):
        if not random_start:
            return images
        return ball.random_point(noise.fold_seed(seed, restart))

    def climb_from(point):
        return _climb(
            lambda x_adv: loss_of(logits_of(x_adv)),
            ball,
            point,
            tf.cast(step_size, tf.float32),
            num_steps,
        )

    if start is not None:
        start = tf.cast(tf.convert_to_tensor(start), tf.float32)
        start = tf.ensure_shape(start, images.shape)
    if isinstance(num_restarts, numbers.Integral) and num_restarts == 1:
        x_adv = climb_from(draw_start(0) if start is None else start)
    else:
        x_adv = _worst_of_restarts(
            num_restarts,
            images,
            start,
            draw_start,
            climb_from,
            lambda point: _outcome(logits_of(point), y, loss_of),
        )
    return tf.stop_gradient(tf.cast(x_adv, x.dtype))


def fgsm(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None,
    *,
    epsilon: float,
    step_size: float | None = None,
    threat_model: str = "linf",
    loss: str = "ce",
    start: tf.Tensor | None = None,
    random_start: bool = False,
    clip: tuple[float, float] = (0.0, 1.0),
    seed: noise.Seed = None,
    natural_logits: tf.Tensor | None = None,
) -> tf.Tensor:
    """Fast gradient sign method: a single step of `pgd`, by default from `x`.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(batch, ...)`, within `clip`.
        y: Integer labels, or None for the model's own predictions.
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, length of the step. Defaults to `epsilon`.
        threat_model: `"linf"` or `"l2"`.
        loss: `"ce"`, `"margin"`, or `"kl"`, whose gradient is zero at `x` and
            which therefore wants a `start`.
        start: As in `pgd`.
        random_start: As in `pgd`.
        clip: Smallest and largest value of an image.
        seed: As in `pgd`.
        natural_logits: As in `pgd`.

    Returns:
        Perturbed images, with shape and dtype of `x`.

    Raises:
        InputError: If an argument is out of its range.

    Reference:

    - [Goodfellow et al., 2015](https://arxiv.org/abs/1412.6572)
    """
    return pgd(
        model,
        x,
        y,
        epsilon=epsilon,
        step_size=epsilon if step_size is None else step_size,
        num_steps=1,
        threat_model=threat_model,
        loss=loss,
        start=start,
        random_start=random_start,
        clip=clip,
        seed=seed,
        natural_logits=natural_logits,
    )


def check_attack_settings(
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    threat_model: str,
    clip: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Raises InputError for settings that no gradient attack can use.

    Tensors are not checked: their value may be unknown.
    """
    if threat_model not in THREAT_MODELS:
        raise InputError(
            "`threat_model` must be 'linf' or 'l2'. "
            f"Received: threat_model={threat_model!r}. "
            f"{close_matches(threat_model, THREAT_MODELS)}"
        )
    check_number("epsilon", epsilon, minimum=0.0)
    check_number("step_size", step_size, minimum=0.0)
    check_number("num_steps", num_steps, minimum=0, integer=True)
    lowest, highest = clip
    if isinstance(lowest, numbers.Real) and isinstance(highest, numbers.Real):
        if not lowest < highest:
            raise InputError(
                "`clip` must be (smallest, largest) value of an image. "
                f"Received: clip={tuple(clip)}"
            )


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float,
    integer: bool = False,
    strict: bool = False,
) -> None:
    """Raises InputError unless `value` is a tensor or a number >= `minimum`.

    With `strict` it must be larger than `minimum`.
    """
    if tf.is_tensor(value):
        return
    kind, wanted = numbers.Real, "a number"
    if integer:
        kind, wanted = numbers.Integral, "an integer"
    fits = isinstance(value, kind) and not isinstance(value, bool)
    # Also false for NaN and, written this way, for infinity.
    if (
        not fits
        or not minimum <= value < float("inf")
        or (strict and value == minimum)
    ):
        raise InputError(
            f"`{name}` must be {wanted} {'>' if strict else '>='} {minimum}. "
            f"Received: {name}={value!r}"
        )


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
            return tf.clip_by_value(x_adv, self.lower, self.upper)
        delta = tf.clip_by_value(x_adv, *self.clip) - self.centre
        norm = _l2_norm(delta)
        factor = tf.where(
            norm > self.epsilon, self.epsilon / (norm + _NORM_STABILISER), 1.0
        )
        return self.centre + delta * factor

    def finish(self, x_adv):
        """Returns the points as they leave the attack."""
        # Where x is in range, the L2 projection can leave it by rounding only.
        return tf.clip_by_value(self.project(x_adv), *self.clip)

    def random_point(self, seed):
        """Returns points uniform in the norm ball, clipped to the range."""
        if self.threat_model == "linf":
            direction = noise.uniform_like(self.centre, seed)
        else:
            direction = noise.l2_ball_like(self.centre, seed)
        return tf.clip_by_value(
            self.centre + self.epsilon * direction, *self.clip
        )


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


def _worst_of_restarts(
    num_restarts, images, start, draw_start, climb_from, outcome_of
) -> tf.Tensor:
    """Returns, for each image, the worst of the points that restarts reach."""
    rows = tf.shape(images)[:1]

    def attack_once(restart, worst, worst_broken, worst_loss):
        point = draw_start(restart)
        if start is not None:
            point = tf.where(restart == 0, start, point)
        x_adv = climb_from(point)
        broken, loss = outcome_of(x_adv)
        # Not "greater": a loss that is NaN must not hide behind the images.
        higher = tf.logical_not(loss <= worst_loss)
        better = tf.where(broken == worst_broken, higher, broken)
        chosen = tf.reshape(better, [-1] + [1] * (len(images.shape) - 1))
        return (
            restart + 1,
            tf.where(chosen, x_adv, worst),
            tf.where(better, broken, worst_broken),
            tf.where(better, loss, worst_loss),
        )

    num_restarts = tf.cast(num_restarts, tf.int32)
    row_shape = images.shape[:1]
    _, worst, _, _ = tf.while_loop(
        lambda restart, *_: restart < num_restarts,
        attack_once,
        (
            tf.constant(0),
            images,
            tf.ensure_shape(tf.fill(rows, False), row_shape),
            tf.ensure_shape(tf.fill(rows, -float("inf")), row_shape),
        ),
        shape_invariants=(
            tf.TensorShape([]),
            images.shape,
            row_shape,
            row_shape,
        ),
        parallel_iterations=1,
    )
    return worst


def _outcome(logits, y, loss_of) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns whether each image is misclassified, and its loss."""
    predicted = tf.argmax(logits, axis=-1, output_type=y.dtype)
    return predicted != y, loss_of(logits)


def _unit_norm(gradient: tf.Tensor) -> tf.Tensor:
    """Returns `gradient` with unit L2 norm per image; zero stays zero."""
    axes = noise.image_axes(gradient)
    # Squares of tiny gradients underflow; scaled by the largest they do not.
    largest = tf.reduce_max(tf.abs(gradient), axis=axes, keepdims=True)
    gradient = tf.math.divide_no_nan(gradient, largest)
    return tf.math.divide_no_nan(gradient, _l2_norm(gradient))


def _l2_norm(x: tf.Tensor) -> tf.Tensor:
    """Returns the L2 norm of each image, shape `(batch, 1, ..., 1)`."""
    squares = tf.reduce_sum(
        tf.square(x), axis=noise.image_axes(x), keepdims=True
    )
    return tf.sqrt(squares)


def _images(x: tf.Tensor) -> tf.Tensor:
    """Returns the images as a float tensor with a batch axis."""
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise InputError(
            "`x` must hold float images, in [0, 1] unless `clip` says "
            f"otherwise. Received: dtype={x.dtype.name}"
        )
    if x.shape.rank is None or x.shape.rank < 2:
        raise InputError(
            "`x` must have a batch axis and one axis or more per image. "
            f"Received: shape={x.shape}"
        )
    return x


def _check_restarts(num_restarts: int, random_start: bool) -> None:
    check_number("num_restarts", num_restarts, minimum=1, integer=True)
    if not random_start and not tf.is_tensor(num_restarts):
        if num_restarts > 1:
            raise InputError(
                "`num_restarts` above 1 needs `random_start=True`: from the "
                "same point every restart ends the same. "
                f"Received: num_restarts={num_restarts}"
            )
