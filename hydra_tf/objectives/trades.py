"""TRADES: natural accuracy against stability of the predictions."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.losses import kl_divergence
from hydra_tf.attacks.noise import Seed
from hydra_tf.objectives.loss import Loss
from hydra_tf.objectives.regularized import RegularizedObjective
from hydra_tf.ops.rows import weighted_mean


@keras.saving.register_keras_serializable(package="hydra_tf")
class TRADES(RegularizedObjective):
    """Natural cross-entropy plus a penalty for unstable predictions.

    Batch mean of `CE(f(x), y) + beta * KL(softmax f(x) || softmax f(x'))`; `x'`
    maximises that divergence within the ball around `x`, from a start at
    `x + 0.001 * N(0, 1)`. The attack runs in inference mode. Gradients flow
    through both arguments of the divergence.

    Loss terms: `natural_ce`, and `robust_kl`, which includes `beta`.

    Args:
        beta: Float >= 0, weight of the penalty.
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, which is 2/255
            for the default epsilon, and `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0 or schedule, number of steps.
        threat_model: `"linf"` or `"l2"`.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.

    Reference:

    - [Zhang et al., 2019](https://arxiv.org/abs/1901.08573), equation 5
    """

    term_names = ("natural_ce", "robust_kl")
    attack_loss = "kl"
    soft_labels = True

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
        return stability_loss(
            model, x, y, perturbed, self.beta, training, sample_weight
        )


def stability_loss(
    model: Model,
    x: tf.Tensor,
    y: tf.Tensor,
    perturbed: tf.Tensor,
    beta: float,
    training: bool,
    sample_weight: tf.Tensor | None = None,
) -> Loss:
    """Returns the loss of TRADES, `natural_ce` + `robust_kl`."""
    # Two passes, never one on both: batch statistics must not be mixed.
    natural = call_model(model, x, training)
    robust = call_model(model, perturbed, training)
    divergence = weighted_mean(kl_divergence(natural, robust), sample_weight)
    return Loss.of_terms(
        {
            "natural_ce": weighted_mean(
                cross_entropy(natural, y), sample_weight
            ),
            "robust_kl": beta * divergence,
        },
        natural_logits=natural,
        robust_logits=robust,
    )
