"""What the objectives with a PGD attack share."""

from __future__ import annotations

import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.pgd import pgd
from hydra_tf.objectives.base import Objective
from hydra_tf.registry.objectives import CLIP
from hydra_tf.registry.objectives import EPSILON
from hydra_tf.registry.objectives import NUM_STEPS
from hydra_tf.registry.objectives import STEP_SIZE
from hydra_tf.registry.objectives import THREAT_MODEL


class AdversarialObjective(Objective):
    """Base of the objectives that search a ball with several gradient steps.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, and
            `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0, number of steps.
        threat_model: `"linf"` or `"l2"`.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.
    """

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        num_steps: int = 10,
        threat_model: str = "linf",
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self.threat_model: str = THREAT_MODEL.check(threat_model)
        self.clip = CLIP.check(clip)
        self.epsilon: float = EPSILON.check_within(epsilon, threat_model, clip)
        self.num_steps: int = NUM_STEPS.check(num_steps)
        if STEP_SIZE.check_within(step_size, threat_model, clip) is None:
            step_size = (
                epsilon / 4
                if threat_model == "linf"
                else 2 * epsilon / max(num_steps, 1)
            )
        self.step_size = step_size

    def attack(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        *,
        loss: str,
        start: tf.Tensor | None,
        random_start: bool = False,
        seed: Seed = None,
    ) -> tf.Tensor:
        """Returns `pgd` of these settings."""
        return pgd(
            model,
            x,
            y,
            epsilon=self.epsilon,
            step_size=self.step_size,
            num_steps=self.num_steps,
            threat_model=self.threat_model,
            clip=self.clip,
            loss=loss,
            start=start,
            random_start=random_start,
            seed=seed,
        )
