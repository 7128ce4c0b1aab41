"""Auto-PGD: projected gradient descent that chooses its step size itself.

Steps, windows between two checks of the step size, restarts and targets are
rolled loops: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from hydra_tf.attacks import losses
from hydra_tf.attacks import noise
from hydra_tf.attacks.attacked import attacked
from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.checks import check_attack_settings
from hydra_tf.attacks.checks import check_target
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import computing_kernels_once
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.attacks.restarts import worst_of_restarts
from hydra_tf.errors import InputError
from hydra_tf.ops.rows import choose
from hydra_tf.registry.attacks import APGD_LOSS
from hydra_tf.registry.attacks import NUM_RESTARTS
from hydra_tf.registry.attacks import NUM_SAMPLES
from hydra_tf.registry.attacks import NUM_TARGETS
from hydra_tf.registry.calls import checked_call

# Share of a step that is new; the rest goes on in the direction of the last.
_NEW_SHARE = 0.75
# The step size is halved unless the loss rose in more than this share of steps.
_RISING_SHARE = 0.75
# Windows between two checks of the step size, as shares of all steps: the
# first, what each is shorter than the one before, and the shortest.
_WINDOWS = (0.22, 0.03, 0.06)

# From points to logits, losses and the gradient of these.
_Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


@tf.autograph.experimental.do_not_convert
@checked_call
@computing_kernels_once
def apgd(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor | None,
    *,
    epsilon: float,
    threat_model: str = "linf",
    loss: str = "ce",
    num_steps: int = 100,
    num_restarts: int = 1,
    num_targets: int = 9,
    target: int | tf.Tensor | None = None,
    random_start: bool = True,
    num_samples: int = 1,
    clip: tuple[float, float] | None = (0.0, 1.0),
    seed: noise.Seed = None,
    indices: tf.Tensor | None = None,
) -> tf.Tensor:
    """Auto-PGD: gradient steps with momentum, whose size it finds itself.

    The steps begin twice as long as the radius. At checks that become more
    frequent the step size of an image is halved, and it returns to its best
    point, if its loss rose too seldom, or if neither step size nor best loss
    changed since the last check. An image is done when it is misclassified:
    the loop ends early when all are.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(batch, ...)`, within `clip`.
        y: Integer labels, shape `(batch,)` or `(batch, 1)`. None stands for
            the model's own predictions on `x`.
        epsilon: Float >= 0, radius of the ball; for Linf within the range of
            the images.
        threat_model: `"linf"` or `"l2"`.
        loss: What the attack climbs: `"ce"`, cross-entropy; `"dlr"`, the
            difference of logits ratio, which does not depend on the scale of
            the logits; `"dlr_targeted"`, the same towards one class after the
            other.
        num_steps: Integer >= 0.
        num_restarts: Integer >= 1, number of attacks from different starting
            points. Of each image the worst result is kept: misclassified
            before classified, then the highest loss.
        num_targets: Integer >= 1. With `"dlr_targeted"`, the classes that are
            tried, those of the largest logits on `x`; at most all but the
            label.
        target: With `"dlr_targeted"`, integer from 0 to `num_targets - 1`,
            may be a tensor: only the class of that rank is tried.
        random_start: Whether to start uniformly within the ball, clipped to
            the image range, rather than at `x`.
        num_samples: Integer >= 1, passes whose gradients are averaged; more
            than 1 for networks that are random themselves.
        clip: Least and largest value of a pixel, or `None` for no limits.
        seed: As in `pgd`.
        indices: As in `pgd`.

    Returns:
        Perturbed images, with shape and dtype of `x`: of those that the attack
        broke the first misclassified point, of others that of highest loss.

    Raises:
        InputError: If an argument is out of its range, or `x` is not within
            `clip`.

    Example:
    ```python
    x_adv = apgd(model, x, y, epsilon=8 / 255, loss="dlr", seed=0)
    ```

    Reference:

    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    check_attack_settings(
        epsilon=epsilon,
        step_size=0.0,
        num_steps=num_steps,
        threat_model=threat_model,
        clip=clip,
    )
    APGD_LOSS.check(loss)
    NUM_RESTARTS.check(num_restarts)
    NUM_TARGETS.check(num_targets)
    NUM_SAMPLES.check(num_samples)
    given = attacked(model, x, y, indices=indices, clip=clip)
    images, y, logits_of = given.images, given.labels, given.logits_of
    ball = given.ball(images, epsilon, threat_model)
    seed = noise.as_seed(seed)
    targets = 1
    if loss == "dlr_targeted":
        targets = min(num_targets, losses.num_classes(given.logits) - 1)
    elif target is not None:
        raise InputError(
            "`target` needs loss='dlr_targeted'. Received: "
            f"target={target!r}, loss={loss!r}"
        )
    check_target(target, targets)
    every = 1 if target is not None else targets

    def loss_of(attempt):
        if loss == "ce":
            return lambda logits: losses.cross_entropy(logits, y)
        if loss == "dlr":
            return lambda logits: losses.dlr_loss(logits, y)
        classes = losses.ranked_other(given.logits, y, attempt % targets)
        return lambda logits: losses.dlr_targeted_loss(logits, y, classes)

    def attack(number):
        # Each target of each restart has a number, tried alone or not.
        attempt = number
        if target is not None:
            attempt = number * targets + tf.cast(target, tf.int32)
        start = images
        if random_start:
            start = ball.random_point(restart_seed(seed, attempt), indices)
        evaluate = _evaluation(logits_of, loss_of(attempt), num_samples)
        return _climb(evaluate, ball, start, y, num_steps)

    def outcome_of(point):
        logits = logits_of(point)
        compared = losses.cross_entropy if loss == "ce" else losses.dlr_loss
        return losses.misclassified(logits, y), compared(logits, y)

    if num_restarts * every == 1:
        x_adv = attack(0)
    else:
        x_adv = worst_of_restarts(
            num_restarts * every, images, attack, outcome_of
        )
    return given.finished(x_adv)


def windows(num_steps: int) -> list[int]:
    """Returns how many steps there are between two checks of the step size.

    Args:
        num_steps: Number of all steps. What is left after the last check is
            the last window.
    """
    window, shrinkage, shortest = (
        max(int(share * num_steps), 1) for share in _WINDOWS
    )
    lengths = []
    left = num_steps
    while left > 0:
        lengths.append(min(window, left))
        left -= lengths[-1]
        window = max(window - shrinkage, shortest)
    return lengths


class _State(NamedTuple):
    """Where the attack is; a row for each image.

    Attributes:
        step: Steps done.
        x_adv: Points.
        previous: Those of the step before.
        gradient: Of the loss at `x_adv`.
        loss: The last that was computed.
        step_size: Lengths of the next step.
        rises: Steps of this window in which the loss rose.
        best: Points of the highest loss.
        best_gradient: Gradient there.
        best_loss: Loss there.
        checked_loss: `best_loss` at the last check.
        halved: Whether the last check halved the step size.
        broken: Whether a point was misclassified.
        breaking: The first that was.
    """

    step: tf.Tensor
    x_adv: tf.Tensor
    previous: tf.Tensor
    gradient: tf.Tensor
    loss: tf.Tensor
    step_size: tf.Tensor
    rises: tf.Tensor
    best: tf.Tensor
    best_gradient: tf.Tensor
    best_loss: tf.Tensor
    checked_loss: tf.Tensor
    halved: tf.Tensor
    broken: tf.Tensor
    breaking: tf.Tensor


def _climb(
    evaluate: _Evaluate,
    ball: Ball,
    start: tf.Tensor,
    y: tf.Tensor,
    num_steps: int,
) -> tf.Tensor:
    """Returns misclassified points, or failing that those of highest loss."""
    state = _start(evaluate, ball, start, y)
    lengths = tf.constant(windows(num_steps) or [0])

    def goes_on(state):
        return tf.logical_not(tf.reduce_all(state.broken))

    def step_once(state):
        new_share = tf.where(state.step == 0, 1.0, _NEW_SHARE)
        ahead = ball.step(state.x_adv, state.gradient, state.step_size)
        x_adv = ball.finish(
            state.x_adv
            + new_share * (ahead - state.x_adv)
            + (1.0 - new_share) * (state.x_adv - state.previous)
        )
        logits, loss, gradient = evaluate(x_adv)
        better = loss > state.best_loss
        wrong = losses.misclassified(logits, y)
        newly = wrong & ~state.broken
        return _like(
            state,
            state._replace(
                step=state.step + 1,
                x_adv=x_adv,
                previous=state.x_adv,
                gradient=gradient,
                loss=loss,
                rises=state.rises + tf.cast(loss > state.loss, tf.float32),
                best=choose(better, x_adv, state.best),
                best_gradient=choose(better, gradient, state.best_gradient),
                best_loss=tf.where(better, loss, state.best_loss),
                broken=state.broken | wrong,
                breaking=choose(newly, x_adv, state.breaking),
            ),
        )

    def check_step_size(state, length):
        stalls = state.rises <= _RISING_SHARE * tf.cast(length, tf.float32)
        no_gain = ~state.halved & (state.best_loss <= state.checked_loss)
        halve = stalls | no_gain
        return state._replace(
            x_adv=choose(halve, state.best, state.x_adv),
            gradient=choose(halve, state.best_gradient, state.gradient),
            step_size=choose(halve, state.step_size / 2.0, state.step_size),
            rises=tf.zeros_like(state.rises),
            checked_loss=state.best_loss,
            halved=halve,
        )

    def pass_window(number, end, state):
        end += lengths[number]
        (state,) = tf.while_loop(
            lambda state: (state.step < end) & goes_on(state),
            lambda state: (step_once(state),),
            (state,),
            parallel_iterations=1,
        )
        checked = check_step_size(state, lengths[number])
        return number + 1, end, _like(state, checked)

    _, _, state = tf.while_loop(
        lambda number, _, state: (
            (number < tf.size(lengths)) & (num_steps > 0) & goes_on(state)
        ),
        pass_window,
        (tf.constant(0), tf.constant(0), state),
        parallel_iterations=1,
    )
    return choose(state.broken, state.breaking, state.best)


def _start(
    evaluate: _Evaluate, ball: Ball, start: tf.Tensor, y: tf.Tensor
) -> _State:
    """Returns where the attack begins."""
    start = ball.finish(start)
    logits, loss, gradient = evaluate(start)
    per_image = tf.concat(
        [tf.shape(start)[:1], tf.ones(len(start.shape) - 1, tf.int32)], axis=0
    )
    step_size = tf.ensure_shape(
        tf.fill(per_image, 2.0 * ball.epsilon),
        [start.shape[0]] + [1] * (len(start.shape) - 1),
    )
    # NaN is lower than any loss.
    best_loss = tf.where(tf.math.is_nan(loss), -float("inf"), loss)
    return _State(
        step=tf.constant(0),
        x_adv=start,
        previous=start,
        gradient=gradient,
        loss=loss,
        step_size=step_size,
        rises=tf.zeros_like(loss),
        best=start,
        best_gradient=gradient,
        best_loss=best_loss,
        checked_loss=best_loss,
        # The first check does not ask for a gain.
        halved=tf.ones_like(loss, tf.bool),
        broken=losses.misclassified(logits, y),
        breaking=start,
    )


def _evaluation(
    logits_of: Callable[[tf.Tensor], tf.Tensor],
    loss_of: Callable[[tf.Tensor], tf.Tensor],
    num_samples: int,
) -> _Evaluate:
    """Returns the function from points to logits, losses and gradients."""

    def evaluate(x_adv):
        # Only the images are watched: no weight gradient is ever computed.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            logits = logits_of(x_adv)
            loss = loss_of(logits)
            total = tf.reduce_sum(loss)
        gradient = tape.gradient(
            total, x_adv, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        # An image stays where its gradient overflows: then this is not zero.
        overflow = tf.reduce_sum(
            gradient - gradient, axis=noise.image_axes(gradient)
        )
        gradient = choose(
            tf.equal(overflow, 0.0), gradient, tf.zeros_like(gradient)
        )
        return logits, loss, gradient

    def evaluate_mean(x_adv):
        def add(number, *sums):
            parts = evaluate(x_adv)
            return number + 1, *(
                tf.ensure_shape(total + part, total.shape)
                for total, part in zip(sums, parts, strict=True)
            )

        _, *sums = tf.while_loop(
            lambda number, *_: number < num_samples,
            add,
            (tf.constant(1), *evaluate(x_adv)),
            parallel_iterations=1,
        )
        return tuple(total / num_samples for total in sums)

    return evaluate if num_samples == 1 else evaluate_mean


def _like(old: _State, new: _State) -> _State:
    """Returns a state with the static shapes of another."""
    return _State(
        *(
            tf.ensure_shape(part, each.shape)
            for part, each in zip(new, old, strict=True)
        )
    )
