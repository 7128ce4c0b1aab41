"""FAB: the smallest perturbation, along the classes' boundaries."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from hydra_tf.attacks import losses
from hydra_tf.attacks import noise
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.attacked import run_in_graph
from hydra_tf.attacks.boundary import way_to_plane
from hydra_tf.attacks.checks import check_target
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.norms import dual_norm
from hydra_tf.attacks.norms import norm
from hydra_tf.errors import InputError
from hydra_tf.ops.rows import choose
from hydra_tf.ops.rows import per_row
from hydra_tf.ops.rows import update_rows
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import NUM_RESTARTS
from hydra_tf.registry.attacks import NUM_STEPS
from hydra_tf.registry.attacks import NUM_TARGETS
from hydra_tf.registry.attacks import TARGETED
from hydra_tf.registry.attacks import THREAT_MODEL
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.objectives import CLIP

# The constants of the paper: how far beyond the boundary a step goes, how much
# it is drawn towards the image at most, and how much of the way from the image
# is left once a perturbation is found.
_OVERSHOOT = 1.05
_MOST_BIAS = 0.1
_BACKWARD = 0.9
# Added to the norm of a gradient that a distance is divided by.
_STABILISER = 1e-12


@tf.autograph.experimental.do_not_convert
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
    targeted: bool = True,
    num_targets: int = 9,
    target: int | tf.Tensor | None = None,
    seed: noise.Seed = None,
    indices: tf.Tensor | None = None,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """FAB: looks for the smallest perturbation.

    A step goes to the boundary between the label and a target, where the
    network is taken for linear, drawn a little towards the image; from a
    misclassified point the next step begins closer to the image. It needs no
    step size, and no loss whose scale could mislead it. Targets are the
    likeliest other classes on `x`. A step costs two forward passes and an input
    gradient, of the images for which no perturbation within `epsilon` was found
    with the targets before. Untargeted, a step goes to the nearest of all
    boundaries, and costs an input gradient for each other class.

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
        targeted: Whether to try one class after the other.
        num_targets: Integer >= 1, number of targets; where the network has
            fewer other classes, all of them.
        target: Integer from 0 to `num_targets - 1`, may be a tensor: only the
            class of that rank is tried. It needs `targeted`.
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
    TARGETED.check(targeted)
    given = attacked(model, x, y, indices=indices, clip=clip)
    classes = losses.num_classes(given.logits)
    count = min(num_targets, classes - 1) if targeted else 1
    if target is not None and not targeted:
        raise InputError(
            f"`target` needs targeted=True. Received: target={target!r}, "
            "targeted=False"
        )
    check_target(target, count)
    return given.finished(
        run_in_graph(
            model,
            lambda: _smallest(
                given,
                tf.cast(epsilon, tf.float32),
                threat_model,
                num_steps,
                num_restarts,
                count,
                target,
                _boundary_to if targeted else _nearest_boundary,
                noise.as_seed(seed),
            ),
        )
    )


def _smallest(
    given,
    epsilon,
    threat_model,
    num_steps,
    num_restarts,
    num_targets,
    target,
    boundary,
    seed,
):
    """Returns misclassified points within `epsilon`, else the images."""
    num_restarts = tf.cast(num_restarts, tf.int32)
    once = tf.get_static_value(num_restarts) == 1
    first = 0 if target is None else tf.cast(target, tf.int32) * num_restarts
    count = num_restarts * (num_targets if target is None else 1)

    def attempt(number, images, labels, indices, logits, best, least):
        start = images
        if not once:
            random = given.ball(images, epsilon, threat_model).random_point(
                noise.fold_seed(seed, number), indices
            )
            is_first = number % num_restarts == 0
            start = tf.where(is_first, images, (images + random) / 2.0)
        rank = number // num_restarts
        return _approach(
            boundary(
                given.logits_of,
                labels,
                losses.ranked_other(logits, labels, rank),
                threat_model,
            ),
            given.logits_of,
            images,
            labels,
            start,
            (best, least),
            threat_model,
            given.clip,
            tf.cast(num_steps, tf.int32),
        )

    def attempt_survivors(number, best, least):
        return number + 1, *update_rows(
            least > epsilon,
            lambda *parts: attempt(number, *parts),
            (best, least),
            (given.images, given.labels, given.indices, given.logits),
        )

    _, best, least = tf.while_loop(
        lambda number, best, least: tf.logical_and(
            number < first + count, tf.reduce_any(least > epsilon)
        ),
        attempt_survivors,
        (
            tf.convert_to_tensor(first),
            given.images,
            tf.where(given.right, float("inf"), 0.0),
        ),
        parallel_iterations=1,
    )
    return choose(least <= epsilon, best, given.images)


def _boundary_to(logits_of, labels, targets, threat_model):
    """Returns the function from points to the boundaries to targets.

    It returns by how much the targets lead, and the gradient of that.
    """
    del threat_model

    def boundary(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            lead = losses.lead(logits_of(x), targets, labels)
            total = tf.reduce_sum(lead)
        gradient = tape.gradient(total, x, unconnected_gradients="zero")
        return lead, gradient

    return boundary


def _nearest_boundary(logits_of, labels, targets, threat_model):
    """Returns the function from points to the nearest of all boundaries."""
    del targets

    def boundary(x):
        with tf.GradientTape(
            watch_accessed_variables=False, persistent=True
        ) as tape:
            tape.watch(x)
            logits = logits_of(x)
        classes = losses.num_classes(logits)

        def nearer(number, nearest, lead, gradient):
            others = (labels + tf.cast(number, labels.dtype)) % classes
            # Of the lead of the others over the labels.
            weights = tf.one_hot(others, classes) - tf.one_hot(labels, classes)
            normal = tape.gradient(
                logits, x, weights, unconnected_gradients="zero"
            )
            other = losses.lead(logits, others, labels)
            slope = dual_norm(normal, threat_model)
            distance = tf.abs(other) / (slope + _STABILISER)
            closer = distance < nearest
            return (
                number + 1,
                tf.where(closer, distance, nearest),
                tf.where(closer, other, lead),
                choose(closer, normal, gradient),
            )

        start = losses.lead(logits, (labels + 1) % classes, labels)
        return tf.while_loop(
            lambda number, *_: number < classes,
            nearer,
            (
                tf.constant(1),
                tf.fill(tf.shape(start), float("inf")),
                start,
                tf.zeros_like(x),
            ),
            parallel_iterations=1,
        )[2:]

    return boundary


def _approach(
    boundary: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    logits_of: Callable[[tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    labels: tf.Tensor,
    start: tf.Tensor,
    found: tuple[tf.Tensor, tf.Tensor],
    threat_model: str,
    clip: tuple[tf.Tensor, tf.Tensor],
    num_steps: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the nearest misclassified points, and their distances.

    Args:
        boundary: From points to by how much another class leads there, and
            the gradient of that.
        logits_of: From images to logits.
        images: The images.
        labels: Their labels.
        start: Where to begin.
        found: The nearest points before, and their distances.
        threat_model: Norm of distances.
        clip: Range of the images.
        num_steps: Number of steps.
    """
    axes = noise.image_axes(images)

    def step_once(step, x_adv, best, least):
        lead, normal = boundary(x_adv)
        way = way_to_plane(x_adv, normal, lead, threat_model, clip)
        from_image = way_to_plane(
            images,
            normal,
            lead + tf.reduce_sum(normal * (images - x_adv), axis=axes),
            threat_model,
            clip,
        )
        length, whole = (norm(each, threat_model) for each in (way, from_image))
        bias = tf.math.divide_no_nan(length, length + whole)
        bias = per_row(tf.minimum(bias, _MOST_BIAS), images)
        x_adv = tf.clip_by_value(
            (1.0 - bias) * (x_adv + _OVERSHOOT * way)
            + bias * (images + _OVERSHOOT * from_image),
            *clip,
        )
        broken = losses.misclassified(logits_of(x_adv), labels)
        distance = norm(x_adv - images, threat_model)
        nearer = broken & (distance < least)
        back = images + _BACKWARD * (x_adv - images)
        return (
            step + 1,
            choose(broken, back, x_adv),
            choose(nearer, x_adv, best),
            tf.where(nearer, distance, least),
        )

    return tf.while_loop(
        lambda step, *_: step < num_steps,
        step_once,
        (tf.constant(0), start, *found),
        parallel_iterations=1,
    )[2:]
