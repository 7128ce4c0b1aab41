"""Fast minimum-norm attack: the smallest perturbation, by gradient steps."""

from __future__ import annotations

import math

import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.attacked import Attacked
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import margin
from hydra_tf.attacks.attacked import misclassified
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.attacks.logits import Model
from hydra_tf.ops.rows import per_row
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import FMN_STEP_SIZE
from hydra_tf.registry.attacks import NUM_STEPS
from hydra_tf.registry.attacks import RADIUS_STEP
from hydra_tf.registry.attacks import THREAT_MODEL
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.objectives import CLIP

# What is left in the last step of the step size and of the radius' change.
_LAST_STEP_SIZE = 0.01
_LAST_RADIUS_STEP = 0.02


@checked_call
def fmn(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None,
    *,
    epsilon: float | None = None,
    threat_model: str = "linf",
    num_steps: int = 100,
    step_size: float = 1.0,
    radius_step: float = 0.05,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Fast minimum-norm attack: looks for the smallest perturbation.

    Each step lowers the margin of the label within a ball whose radius shrinks
    while the point is misclassified and grows while it is not. A single run
    gives robust accuracy at every radius: images whose perturbation is larger,
    or for which none is found, withstand. It draws no random numbers.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(batch, ...)`, within `clip`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`. None stands for
            the model's own predictions on `x`.
        epsilon: Float >= 0; images whose perturbation exceeds it are returned
            unperturbed. None accepts all.
        threat_model: `"linf"` or `"l2"`, the norm that is to be least.
        num_steps: Integer >= 1; each costs a forward pass and an input
            gradient.
        step_size: Float > 0, length of the first step in the L2 norm; in the
            last it is a hundredth.
        radius_step: Float in (0, 1), by which share the radius changes in the
            first step; in the last it is a fiftieth of that.
        clip: Least and largest value of a pixel, or `None` for no limits.

    Returns:
        Images with shape and dtype of `x`: misclassified ones as close to `x`
        as found; `x` itself where that is misclassified, or none was found.

    Raises:
        InputError: If an argument is out of its range.

    Example:
    ```python
    x_adv = fmn(model, x, y, threat_model="l2")
    sizes = tf.norm(tf.reshape(x_adv - x, [len(x), -1]), axis=1)
    ```

    Reference:

    - [Pintor et al., 2021](https://arxiv.org/abs/2102.12827)
    """
    THREAT_MODEL.check(threat_model)
    CLIP.check(clip)
    if epsilon is not None:
        EPSILON.check_within(epsilon, threat_model, clip)
    NUM_STEPS.check(num_steps)
    FMN_STEP_SIZE.check(step_size)
    RADIUS_STEP.check(radius_step)
    given = attacked(model, x, y, clip=clip)

    def attack():
        best, least = _shrink(
            given, threat_model, num_steps, step_size, radius_step
        )
        limit = math.inf if epsilon is None else epsilon
        within = least <= tf.cast(limit, tf.float32)
        return tf.where(per_row(within, best), best, given.images)

    return given.finished(run_in_graph(model, attack))


def _shrink(
    given: Attacked, threat_model, num_steps, step_size, radius_step
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the nearest misclassified points found, and their distances."""
    images, labels = given.images, given.labels
    axes = noise.image_axes(images)

    def l2_norm(x):
        return tf.sqrt(tf.reduce_sum(tf.square(x), axis=axes))

    def norm(x):
        if threat_model == "l2":
            return l2_norm(x)
        return tf.reduce_max(tf.abs(x), axis=axes)

    def dual_norm(x):
        if threat_model == "l2":
            return l2_norm(x)
        return tf.reduce_sum(tf.abs(x), axis=axes)

    def project(delta, radius):
        if threat_model == "linf":
            limit = per_row(radius, delta)
            return tf.clip_by_value(delta, -limit, limit)
        factor = tf.where(l2_norm(delta) > radius, radius / l2_norm(delta), 1.0)
        return delta * per_row(factor, delta)

    def annealed(step, first, last_share):
        done = tf.cast(step, tf.float32) / tf.cast(num_steps, tf.float32)
        share = (1.0 + tf.cos(math.pi * done)) / 2.0
        return first * (last_share + (1.0 - last_share) * share)

    def step_once(step, x_adv, radius, best, least):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            logits = given.logits_of(x_adv)
            lead = margin(logits, labels)
            total = tf.reduce_sum(lead)
        gradient = tape.gradient(total, x_adv, unconnected_gradients="zero")
        delta = x_adv - images
        distance = norm(delta)
        broken = misclassified(logits, labels)
        nearer = broken & (distance < least)
        best = tf.where(per_row(nearer, best), x_adv, best)
        # How far the boundary is, were the network linear; the radius goes a
        # little beyond, or it would never be crossed where that holds.
        linear = distance + tf.nn.relu(lead) / dual_norm(gradient)
        change = annealed(step, radius_step, _LAST_RADIUS_STEP)
        found = least < math.inf
        larger = tf.where(found, radius, linear) * (1.0 + change)
        least = tf.where(nearer, distance, least)
        smaller = tf.minimum(radius * (1.0 - change), least)
        radius = tf.where(broken, smaller, larger)
        direction = tf.math.divide_no_nan(
            gradient, per_row(l2_norm(gradient), gradient)
        )
        length = annealed(step, step_size, _LAST_STEP_SIZE)
        delta = project(delta - length * direction, radius)
        x_adv = tf.clip_by_value(images + delta, *given.clip)
        return step + 1, x_adv, radius, best, least

    # Without a gradient, and before the first step, there is no limit.
    unlimited = tf.fill(tf.shape(labels), math.inf)
    *_, best, least = tf.while_loop(
        lambda step, *_: step < tf.cast(num_steps, tf.int32),
        step_once,
        (tf.constant(0), images, unlimited, images, unlimited),
        parallel_iterations=1,
    )
    return best, least
