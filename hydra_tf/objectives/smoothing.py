"""Training for randomised smoothing: Gaussian noise in place of an attack."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import normal_like
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.loss import Loss
from hydra_tf.objectives.trades import stability_loss
from hydra_tf.registry.objectives import BETA
from hydra_tf.registry.objectives import CLIP
from hydra_tf.registry.objectives import FORM
from hydra_tf.registry.objectives import SIGMA


@keras.saving.register_keras_serializable(package="hydra_tf")
class RandomizedSmoothing(Objective):
    """Stable predictions under Gaussian noise, which smoothing can certify.

    The perturbed images are `x + sigma * N(0, 1)`, not clipped. Two forms:

    * `"stability"`: batch mean of
      `CE(f(x), y) + beta * KL(softmax f(x) || softmax f(x + noise))`; gradients
      flow through both arguments of the divergence. Loss terms: `natural_ce`,
      and `robust_kl`, which includes `beta`.
    * `"noise"`: `CE(f(x + noise), y)`, for data sets as large as ImageNet. Loss
      term: `robust_ce`.

    Args:
        sigma: Float > 0, standard deviation of the noise; certify with the
            same.
        beta: Float >= 0, weight of the divergence; unused by `"noise"`.
        form: `"stability"` or `"noise"`.
        clip: Least and largest value of a pixel, which the images are checked
            against; `None` for no limits.

    Reference:

    - [Li et al., 2019](https://arxiv.org/abs/1809.03113), stability training
    - [Cohen et al., 2019](https://arxiv.org/abs/1902.02918), training on noise
    """

    term_names: tuple[str, ...] = ("natural_ce", "robust_kl")
    soft_labels = True

    def __init__(
        self,
        *,
        sigma: float = 0.25,
        beta: float = 6.0,
        form: str = "stability",
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        self.sigma: float = SIGMA.check(sigma)
        self.beta: float = BETA.check(beta)
        self.form: str = FORM.check(form)
        self.clip = CLIP.check(clip)
        if form == "noise":
            self.term_names = ("robust_ce",)

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
        noise: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns noisy images; `noise` replaces the standard normal noise."""
        x = tf.cast(tf.convert_to_tensor(x), tf.float32)
        if noise is None:
            noise = normal_like(x, as_seed(seed))
        return x + self.sigma * noise

    def losses(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        *,
        training: bool = True,
        epoch: Any = None,
        seed: Seed = None,
        sample_weight: tf.Tensor | None = None,
    ) -> Loss:
        if self.form == "noise":
            return super().losses(
                model,
                x,
                y,
                perturbed,
                training=training,
                sample_weight=sample_weight,
            )
        return stability_loss(
            model, x, y, perturbed, self.beta, training, sample_weight
        )
