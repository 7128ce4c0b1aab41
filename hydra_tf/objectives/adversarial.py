"""Training on the attacked images alone: Madry's PGD and FGSM."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf.attacks.checks import check_attack_settings
from hydra_tf.attacks.fgsm import fgsm
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.pgd import pgd
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective


class AdversarialObjective(Objective):
    """Base of the objectives that search a ball with several gradient steps.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, and
            `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0, number of steps.
        threat_model: `"linf"` or `"l2"`.
    """

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        num_steps: int = 10,
        threat_model: str = "linf",
    ):
        check_attack_settings(
            epsilon=epsilon,
            step_size=0.0 if step_size is None else step_size,
            num_steps=num_steps,
            threat_model=threat_model,
        )
        if step_size is None:
            step_size = (
                epsilon / 4
                if threat_model == "linf"
                else 2 * epsilon / max(num_steps, 1)
            )
        self.epsilon = epsilon
        self.step_size = step_size
        self.num_steps = num_steps
        self.threat_model = threat_model

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
            loss=loss,
            start=start,
            random_start=random_start,
            seed=seed,
        )


@keras.saving.register_keras_serializable(package="hydra_tf")
class Madry(AdversarialObjective):
    """Cross-entropy on images that projected gradient descent found (PGD-AT).

    Loss term: `robust_ce`.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, and
            `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0, number of steps.
        threat_model: `"linf"` or `"l2"`.
        random_start: Whether the attack starts uniformly within the ball,
            clipped to the image range, rather than at the image.

    Reference:

    - [Madry et al., 2018](https://arxiv.org/abs/1706.06083)
    """

    term_names = ("robust_ce",)

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        num_steps: int = 10,
        threat_model: str = "linf",
        random_start: bool = True,
    ):
        super().__init__(
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
            threat_model=threat_model,
        )
        self.random_start = check_flag("random_start", random_start)

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
        start: tf.Tensor | None = None,
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
        )

    def loss_terms(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        return robust_cross_entropy(model, y, perturbed, training)


@keras.saving.register_keras_serializable(package="hydra_tf")
class FGSM(Objective):
    """Cross-entropy on images one gradient step away.

    Loss term: `robust_ce`.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, length of the step, or None: `epsilon`.
        threat_model: `"linf"` or `"l2"`.
        random_start: Whether to step from a uniform point of the ball rather
            than from the image. Training with random starts and a `step_size`
            of `1.25 * epsilon` is known as fast adversarial training.

    Reference:

    - [Goodfellow et al., 2015](https://arxiv.org/abs/1412.6572)
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994), random starts
    """

    term_names = ("robust_ce",)

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        threat_model: str = "linf",
        random_start: bool = False,
    ):
        check_attack_settings(
            epsilon=epsilon,
            step_size=0.0 if step_size is None else step_size,
            num_steps=1,
            threat_model=threat_model,
        )
        self.epsilon = epsilon
        self.step_size = epsilon if step_size is None else step_size
        self.threat_model = threat_model
        self.random_start = check_flag("random_start", random_start)

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
        start: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns attacked images; `start` is where the step begins."""
        return fgsm(
            model,
            x,
            y,
            epsilon=self.epsilon,
            step_size=self.step_size,
            threat_model=self.threat_model,
            start=start,
            random_start=self.random_start,
            seed=seed,
        )

    def loss_terms(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        return robust_cross_entropy(model, y, perturbed, training)


def robust_cross_entropy(
    model: Model, y: tf.Tensor, perturbed: tf.Tensor, training: bool
) -> dict[str, tf.Tensor]:
    """Returns the single term `robust_ce`, cross-entropy on `perturbed`."""
    logits = call_model(model, perturbed, training)
    return {"robust_ce": tf.reduce_mean(cross_entropy(logits, y))}


def check_flag(name: str, value: object) -> bool:
    """Returns `value`, or raises InputError unless it is True or False."""
    if not isinstance(value, bool):
        raise InputError(
            f"`{name}` must be True or False. Received: {name}={value!r}"
        )
    return value
