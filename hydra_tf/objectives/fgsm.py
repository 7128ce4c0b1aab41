"""Adversarial training with the fast gradient sign method."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf import attacks
from hydra_tf.attacks.ball import Ball
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.registry.objectives import CLIP
from hydra_tf.registry.objectives import EPSILON
from hydra_tf.registry.objectives import NOISE_MAGNITUDE
from hydra_tf.registry.objectives import RANDOM_START
from hydra_tf.registry.objectives import STEP_SIZE
from hydra_tf.registry.objectives import THREAT_MODEL


@keras.saving.register_keras_serializable(package="hydra_tf")
class FGSM(Objective):
    """Cross-entropy on images one gradient step away.

    Training by single steps may overfit to them all at once: accuracy under
    FGSM rises and that under PGD falls to nothing (catastrophic overfitting).
    Noise guards against it, above all `noise_magnitude=2`; with images to
    validate by, a phase warns where it happens.

    Loss term: `robust_ce`.

    Args:
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, length of the step, or None: `epsilon`.
        threat_model: `"linf"` or `"l2"`.
        random_start: Whether to step from a uniform point of the ball rather
            than from the image. Training with random starts and a `step_size`
            of `1.25 * epsilon` is known as fast adversarial training.
        noise_magnitude: Float >= 0. Above 0 the step is from the image plus
            uniform noise of so many `epsilon`, and what it reaches is clipped
            to the image range, but not projected on the ball (N-FGSM).
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.

    Reference:

    - [Goodfellow et al., 2015](https://arxiv.org/abs/1412.6572)
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994), random starts
    - [de Jorge et al., 2022](https://arxiv.org/abs/2202.01181), N-FGSM
    """

    term_names = ("robust_ce",)
    soft_labels = True

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        step_size: float | None = None,
        threat_model: str = "linf",
        random_start: bool = False,
        noise_magnitude: float = 0.0,
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self.threat_model: str = THREAT_MODEL.check(threat_model)
        self.clip = CLIP.check(clip)
        self.epsilon: float = EPSILON.check_within(epsilon, threat_model, clip)
        self.random_start: bool = RANDOM_START.check(random_start)
        self.noise_magnitude: float = NOISE_MAGNITUDE.check(noise_magnitude)
        if random_start and noise_magnitude:
            raise InputError(
                "`random_start` and `noise_magnitude` are two places to step "
                "from: give one. Received: random_start=True, "
                f"noise_magnitude={noise_magnitude}"
            )
        STEP_SIZE.check_within(step_size, threat_model, clip)
        self.step_size: float = epsilon if step_size is None else step_size

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
        start: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns attacked images; `start` is where the step begins."""
        epsilon = self.epsilon
        if self.noise_magnitude:
            if start is None:
                x = tf.cast(tf.convert_to_tensor(x), tf.float32)
                radius = self.noise_magnitude * self.epsilon
                noisy = Ball.around(x, radius, self.threat_model, self.clip)
                start = noisy.random_point(as_seed(seed))
            # The ball around where the step begins: a step never leaves it.
            x, epsilon, start = start, self.step_size, None
        return attacks.fgsm(
            model,
            x,
            y,
            epsilon=epsilon,
            step_size=self.step_size,
            threat_model=self.threat_model,
            clip=self.clip,
            start=start,
            random_start=self.random_start,
            seed=seed,
        )
