"""Adversarial training of Madry et al.: the loss on PGD's images alone."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.objectives.adversarial import AdversarialObjective
from hydra_tf.registry.objectives import RANDOM_START
from hydra_tf.schedules import Schedule


@keras.saving.register_keras_serializable(package="hydra_tf")
class Madry(AdversarialObjective):
    """Cross-entropy on images that projected gradient descent found (PGD-AT).

    Loss term: `robust_ce`.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, and
            `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0 or schedule, number of steps.
        threat_model: `"linf"` or `"l2"`.
        random_start: Whether the attack starts uniformly within the ball,
            clipped to the image range, rather than at the image.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.

    Reference:

    - [Madry et al., 2018](https://arxiv.org/abs/1706.06083)
    """

    term_names = ("robust_ce",)
    soft_labels = True

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        num_steps: int | Schedule = 10,
        threat_model: str = "linf",
        random_start: bool = True,
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        super().__init__(
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
            threat_model=threat_model,
            clip=clip,
        )
        self.random_start: bool = RANDOM_START.check(random_start)

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
        return self.attack(
            model,
            x,
            y,
            loss="ce",
            start=start,
            random_start=self.random_start,
            seed=seed,
            epoch=epoch,
        )
