"""FAB, targeted: the smallest perturbation, along the classes' boundaries."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.attacked import Attacked
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import misclassified
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.attacks.boundary import way_to_plane
from hydra_tf.attacks.logits import Model
from hydra_tf.errors import InputError
from hydra_tf.ops.rows import per_row
from hydra_tf.ops.rows import update_rows
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import NUM_RESTARTS
from hydra_tf.registry.attacks import NUM_STEPS
from hydra_tf.registry.attacks import NUM_TARGETS
from hydra_tf.registry.attacks import THREAT_MODEL
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.objectives import CLIP

# The constants of the paper: how far beyond the boundary a step goes, how much
# it is drawn towards the image at most, and how much of the way from the image
# is left once a perturbation is found.
_OVERSHOOT = 1.05
_MOST_BIAS = 0.1
_BACKWARD = 0.9


@checked_call
def fab(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None,
    *,
    epsilon: float,
    threat_model: str = "linf",
    num_steps: int = 100,
    num_restarts: int = 1,
    num_targets: int = 9,
    seed: noise.Seed = None,
    indices: tf.Tensor | None = None,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Targeted FAB: looks for the smallest perturbation.

    A step goes to the boundary between the label and a target, where the
    network is taken for linear, drawn a little towards the image; from a
    misclassified point the next step begins closer to the image. It needs no
    step size, and no loss whose scale could mislead it. Targets are the
    likeliest other classes on `x`. A step costs two forward passes and an input
    gradient, of the images for which no perturbation within `epsilon` was found
    with the targets before.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(batch, ...)`, within `clip`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`. None stands for
            the model's own predictions on `x`.
        epsilon: Float >= 0, radius of the ball; for Linf within the range of
            the images.
        threat_model: `"linf"` or `"l2"`.
        num_steps: Integer >= 1, steps for each target and restart.
        num_restarts: Integer >= 1, number of attacks on each target: the first
            from `x`, the others from random points within half of `epsilon`.
        num_targets: Integer >= 1, number of targets; where the network has
            fewer other classes, all of them.
        seed: As in `pgd`; random are only the restarts.
        indices: As in `pgd`.
        clip: Least and largest value of a pixel, or `None` for no limits.

    Returns:
        Images with shape and dtype of `x`: perturbed and misclassified where
        the perturbation found is within `epsilon`, otherwise unchanged.

    Raises:
        InputError: If an argument is out of its range.

    Example:
    ```python
    x_adv = fab(model, x, y, epsilon=0.5, threat_model="l2")
    ```

    Reference:

    - [Croce and Hein, 2020](https://arxiv.org/abs/1907.02044)
    - The targets: [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    THREAT_MODEL.check(threat_model)
    CLIP.check(clip)
    EPSILON.check_within(epsilon, threat_model, clip)
    NUM_STEPS.check(num_steps)
    NUM_RESTARTS.check(num_restarts)
    NUM_TARGETS.check(num_targets)
    given = attacked(model, x, y, indices=indices, clip=clip)
    return given.finished(
        run_in_graph(
            model,
            lambda: _smallest(
                given,
                tf.cast(epsilon, tf.float32),
                threat_model,
                tf.cast(num_steps, tf.int32),
                tf.cast(num_restarts, tf.int32),
                _targets(given, num_targets),
                noise.as_seed(seed),
            ),
        )
    )


def _targets(given: Attacked, num_targets: int) -> tf.Tensor:
    """Returns the likeliest classes but the label, `(batch, targets)`."""
    logits, classes = given.logits, given.logits.shape[-1]
    if classes is None:
        raise InputError(
            "`model` must return logits of a known number of classes. "
            f"Received: shape={logits.shape}"
        )
    is_label = tf.one_hot(given.labels, classes, on_value=True, off_value=False)
    return tf.math.top_k(
        tf.where(is_label, -float("inf"), logits),
        min(num_targets, classes - 1),
    ).indices


def _smallest(
    given, epsilon, threat_model, num_steps, num_restarts, targets, seed
):
    """Returns misclassified points within `epsilon`, else the images."""
    num_attempts = targets.shape[-1] * num_restarts

    def attempt(number, images, labels, indices, target, best, least):
        restart = number % num_restarts
        start = images
        if num_restarts_may_exceed_one:
            random = given.ball(images, epsilon, threat_model).random_point(
                noise.fold_seed(seed, number), indices
            )
            start = tf.where(restart == 0, images, (images + random) / 2.0)
        return _approach(
            given.logits_of,
            images,
            labels,
            target,
            start,
            (best, least),
            threat_model,
            given.clip,
            num_steps,
        )

    num_restarts_may_exceed_one = tf.get_static_value(num_restarts) != 1

    def attempt_survivors(number, best, least):
        return number + 1, *update_rows(
            least > epsilon,
            lambda *parts: attempt(number, *parts),
            (best, least),
            (
                given.images,
                given.labels,
                given.indices,
                targets[:, number // num_restarts],
            ),
        )

    _, best, least = tf.while_loop(
        lambda number, best, least: tf.logical_and(
            number < num_attempts, tf.reduce_any(least > epsilon)
        ),
        attempt_survivors,
        (
            tf.constant(0),
            given.images,
            tf.where(given.right, float("inf"), 0.0),
        ),
        parallel_iterations=1,
    )
    return tf.where(per_row(least <= epsilon, best), best, given.images)


def _approach(
    logits_of: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    labels: tf.Tensor,
    targets: tf.Tensor,
    start: tf.Tensor,
    found: tuple[tf.Tensor, tf.Tensor],
    threat_model: str,
    clip: tuple[tf.Tensor, tf.Tensor],
    num_steps: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the nearest misclassified points, and their distances.

    Args:
        logits_of: From images to logits.
        images: The images.
        labels: Their labels.
        targets: The class that each is to be taken for.
        start: Where to begin.
        found: The nearest points before, and their distances.
        threat_model: Norm of distances.
        clip: Range of the images.
        num_steps: Number of steps.
    """
    axes = noise.image_axes(images)

    def norm(x):
        if threat_model == "linf":
            return tf.reduce_max(tf.abs(x), axis=axes)
        return tf.sqrt(tf.reduce_sum(tf.square(x), axis=axes))

    def lead_of(x):
        logits = logits_of(x)
        each = (tf.gather(logits, c, batch_dims=1) for c in (targets, labels))
        lead, label = each
        return lead - label

    def step_once(step, x_adv, best, least):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            lead = lead_of(x_adv)
            total_lead = tf.reduce_sum(lead)
        normal = tape.gradient(total_lead, x_adv, unconnected_gradients="zero")
        way = way_to_plane(x_adv, normal, lead, threat_model, clip)
        from_image = way_to_plane(
            images,
            normal,
            lead + tf.reduce_sum(normal * (images - x_adv), axis=axes),
            threat_model,
            clip,
        )
        length, whole = norm(way), norm(from_image)
        bias = tf.math.divide_no_nan(length, length + whole)
        bias = per_row(tf.minimum(bias, _MOST_BIAS), images)
        x_adv = tf.clip_by_value(
            (1.0 - bias) * (x_adv + _OVERSHOOT * way)
            + bias * (images + _OVERSHOOT * from_image),
            *clip,
        )
        broken = misclassified(logits_of(x_adv), labels)
        distance = norm(x_adv - images)
        nearer = broken & (distance < least)
        back = images + _BACKWARD * (x_adv - images)
        return (
            step + 1,
            tf.where(per_row(broken, images), back, x_adv),
            tf.where(per_row(nearer, images), x_adv, best),
            tf.where(nearer, distance, least),
        )

    return tf.while_loop(
        lambda step, *_: step < num_steps,
        step_once,
        (tf.constant(0), start, *found),
        parallel_iterations=1,
    )[2:]
