"""What TRADES and MART share: a weighted penalty, and where they start."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import normal_like
from hydra_tf.objectives.adversarial import AdversarialObjective
from hydra_tf.registry.objectives import BETA
from hydra_tf.schedules import Schedule

# At the images themselves the gradient of the divergence is zero.
_START_DEVIATION = 0.001


class RegularizedObjective(AdversarialObjective):
    """Base of the objectives that add `beta` times a penalty to a loss.

    The attack starts at `x + 0.001 * N(0, 1)`, neither projected nor clipped.

    Args:
        beta: Float >= 0, weight of the penalty.
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, and
            `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0 or schedule, number of steps.
        threat_model: `"linf"` or `"l2"`.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.

    Attributes:
        attack_loss: Loss that the attack maximises, as `attacks.pgd` names
            it (a class attribute).
    """

    attack_loss: str

    def __init__(
        self,
        *,
        beta: float = 6.0,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        num_steps: int | Schedule = 10,
        threat_model: str = "linf",
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        super().__init__(
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
            threat_model=threat_model,
            clip=clip,
        )
        self.beta: float = BETA.check(beta)

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
        start: tf.Tensor | None = None,
        epoch: Any = None,
    ) -> tf.Tensor:
        """Returns attacked images; `start` replaces the random start."""
        if start is None:
            x = tf.convert_to_tensor(x)
            noise = normal_like(x, as_seed(seed))
            start = tf.cast(x, tf.float32) + _START_DEVIATION * noise
        return self.attack(
            model, x, y, loss=self.attack_loss, start=start, epoch=epoch
        )
