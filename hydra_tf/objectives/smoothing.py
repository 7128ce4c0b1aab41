"""Training for randomised smoothing: Gaussian noise in place of an attack."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf.attacks.checks import check_number
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import Seed
from hydra_tf.attacks.noise import as_seed
from hydra_tf.attacks.noise import normal_like
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.objectives.adversarial import robust_cross_entropy
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.trades import stability_terms

FORMS = ("stability", "noise")


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

    Reference:

    - [Li et al., 2019](https://arxiv.org/abs/1809.03113), stability training
    - [Cohen et al., 2019](https://arxiv.org/abs/1902.02918), training on noise
    """

    term_names: tuple[str, ...] = ("natural_ce", "robust_kl")

    def __init__(
        self,
        *,
        sigma: float = 0.25,
        beta: float = 6.0,
        form: str = "stability",
    ):
        check_number("sigma", sigma, minimum=0.0, strict=True)
        check_number("beta", beta, minimum=0.0)
        if form not in FORMS:
            raise InputError(
                f"`form` must be 'stability' or 'noise'. Received: "
                f"form={form!r}. {close_matches(form, FORMS)}"
            )
        self.sigma = sigma
        self.beta = beta
        self.form = form
        if form == "noise":
            self.term_names = ("robust_ce",)

    def perturb(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        seed: Seed = None,
    ) -> tf.Tensor:
        """Returns noisy images."""
        x = tf.cast(tf.convert_to_tensor(x), tf.float32)
        return x + self.sigma * normal_like(x, as_seed(seed))

    def loss_terms(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        if self.form == "noise":
            return robust_cross_entropy(model, y, perturbed, training)
        return stability_terms(model, x, y, perturbed, self.beta, training)
