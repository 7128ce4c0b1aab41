"""The fast gradient sign method: one step of PGD."""

from __future__ import annotations

import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.pgd import pgd
from hydra_tf.registry.calls import checked_call


@tf.autograph.experimental.do_not_convert
@checked_call
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
    clip: tuple[float, float] | None = (0.0, 1.0),
    seed: noise.Seed = None,
    indices: tf.Tensor | None = None,
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
        clip: Least and largest value of a pixel, or `None` for no limits.
        seed: As in `pgd`.
        indices: As in `pgd`.
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
        indices=indices,
        natural_logits=natural_logits,
    )
