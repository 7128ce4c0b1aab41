"""Fast minimum-norm attack: the smallest perturbation, by gradient steps."""

from __future__ import annotations

import math

import tensorflow as tf

from hydra_tf.attacks import descent
from hydra_tf.attacks import losses
from hydra_tf.attacks.attacked import Attacked
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.norms import dual_norm
from hydra_tf.attacks.norms import norm
from hydra_tf.ops.rows import choose
from hydra_tf.ops.rows import per_row
from hydra_tf.registry.attacks import DIRECTION
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import FMN_LOSS
from hydra_tf.registry.attacks import FMN_STEP_SIZE
from hydra_tf.registry.attacks import NUM_STEPS
from hydra_tf.registry.attacks import OPTIMIZER
from hydra_tf.registry.attacks import RADIUS_STEP
from hydra_tf.registry.attacks import SCHEDULE
from hydra_tf.registry.attacks import THREAT_MODEL
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.objectives import CLIP

# What is left of the radius' change at last.
_LAST_RADIUS_STEP = 0.02
# A distance that is not smaller by this share is no progress.
_PROGRESS = 1e-4


@tf.autograph.experimental.do_not_convert
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
    loss: str = "margin",
    optimizer: str = "sgd",
    direction: str = "unit",
    schedule: str = "cosine",
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Fast minimum-norm attack: looks for the smallest perturbation.

    Each step lowers the margin of the label within a ball whose radius shrinks
    while the point is misclassified and grows while it is not. A single run
    gives robust accuracy at every radius: images whose perturbation is larger,
    or for which none is found, withstand. It draws no random numbers.

    Loss, optimiser and schedule of the step size are the options of the
    adversarial-pruning benchmark, whose figures are of `loss="dlr"`,
    `direction="steepest"` and 200 steps, with a step size tuned for each
    network; the defaults are those of the attack's authors.

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
        step_size: Float > 0, of the first step: its length in the L2 norm with
            `"sgd"` and `"unit"`, otherwise about the change of a value.
        radius_step: Float in (0, 1), by which share the radius changes in the
            first step; in the last it is a fiftieth of that.
        loss: What leads out of the class: `"margin"`, the difference of
            logits; `"ce"`, the cross-entropy; `"dlr"`, the difference of logits
            ratio.
        optimizer: `"sgd"`, `"adam"` or `"adamax"`.
        direction: What the optimiser is given: `"unit"`, the gradient scaled
            to an L2 norm of 1, or `"steepest"`, what lowers the loss most in
            the norm of `threat_model`: in Linf the gradient's signs.
        schedule: Of the step size: `"cosine"`, down to a hundredth;
            `"plateau"`, halved for an image after three steps without progress;
            or `"constant"`.
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
    - The options: [Piras et al., 2024](https://arxiv.org/abs/2409.01249)
    """
    THREAT_MODEL.check(threat_model)
    CLIP.check(clip)
    if epsilon is not None:
        EPSILON.check_within(epsilon, threat_model, clip)
    NUM_STEPS.check(num_steps)
    FMN_STEP_SIZE.check(step_size)
    RADIUS_STEP.check(radius_step)
    FMN_LOSS.check(loss)
    OPTIMIZER.check(optimizer)
    DIRECTION.check(direction)
    SCHEDULE.check(schedule)
    given = attacked(model, x, y, clip=clip)

    def attack():
        best, least = _shrink(
            given,
            threat_model,
            num_steps,
            step_size,
            radius_step,
            loss,
            optimizer,
            direction,
            schedule,
        )
        limit = math.inf if epsilon is None else epsilon
        within = least <= tf.cast(limit, tf.float32)
        return choose(within, best, given.images)

    return given.finished(run_in_graph(model, attack))


def _shrink(
    given: Attacked,
    threat_model,
    num_steps,
    step_size,
    radius_step,
    loss,
    optimizer,
    direction,
    schedule,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the nearest misclassified points found, and their distances."""
    images, labels = given.images, given.labels
    num_steps = tf.cast(num_steps, tf.int32)

    def project(delta, radius):
        if threat_model == "linf":
            limit = per_row(radius, delta)
            return tf.minimum(tf.maximum(delta, -limit), limit)
        length = norm(delta, "l2")
        factor = tf.where(length > radius, radius / length, 1.0)
        return delta * per_row(factor, delta)

    def lead_of(logits):
        """Returns what is to be lowered."""
        if loss == "ce":
            return -losses.cross_entropy(logits, labels)
        if loss == "dlr":
            return -losses.dlr_loss(logits, labels)
        return losses.margin(logits, labels)

    def way_of(gradient):
        if direction == "steepest" and threat_model == "linf":
            return tf.sign(gradient)
        length = per_row(norm(gradient, "l2"), gradient)
        return tf.math.divide_no_nan(gradient, length)

    def step_once(step, x_adv, radius, best, least, lowest, sizes, moments):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            logits = given.logits_of(x_adv)
            lead = lead_of(logits)
            total = tf.reduce_sum(lead)
        gradient = tape.gradient(total, x_adv, unconnected_gradients="zero")
        delta = x_adv - images
        distance = norm(delta, threat_model)
        broken = losses.misclassified(logits, labels)
        nearer = broken & (distance < least)
        found = least < math.inf
        # Until one is found the loss has to fall, from then on the distance.
        improved = tf.where(
            found | broken,
            broken & (distance < (1.0 - _PROGRESS) * least),
            lead < lowest,
        )
        best = choose(nearer, x_adv, best)
        # How far the boundary is, were the network linear; the radius goes a
        # little beyond, or it would never be crossed where that holds. The
        # cross-entropy does not tell where the boundary is.
        linear = math.inf
        if loss != "ce":
            linear = distance + tf.nn.relu(lead) / dual_norm(
                gradient, threat_model
            )
        change = descent.annealed(
            radius_step, step, num_steps, _LAST_RADIUS_STEP
        )
        larger = tf.where(found, radius, linear) * (1.0 + change)
        least = tf.where(nearer, distance, least)
        smaller = tf.minimum(radius * (1.0 - change), least)
        radius = tf.where(broken, smaller, larger)
        way, moments = descent.descend(
            optimizer, way_of(gradient), moments, step
        )
        sizes = sizes.after(schedule, step_size, step, num_steps, improved)
        delta = project(delta - per_row(sizes.size, delta) * way, radius)
        x_adv = tf.clip_by_value(images + delta, *given.clip)
        lowest = tf.minimum(lowest, lead)
        return step + 1, x_adv, radius, best, least, lowest, sizes, moments

    # Without a gradient, and before the first step, there is no limit.
    unlimited = tf.fill(tf.shape(labels), math.inf)
    _, _, _, best, least, *_ = tf.while_loop(
        lambda step, *_: step < num_steps,
        step_once,
        (
            tf.constant(0),
            images,
            unlimited,
            images,
            unlimited,
            unlimited,
            descent.StepSizes.start(step_size, labels),
            descent.no_moments(optimizer, images),
        ),
        parallel_iterations=1,
    )
    return best, least
