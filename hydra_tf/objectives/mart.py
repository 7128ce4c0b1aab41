"""MART: TRADES with more weight on the images that are misclassified."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import class_labels
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.losses import largest_other
from hydra_tf.attacks.noise import Seed
from hydra_tf.objectives.loss import Loss
from hydra_tf.objectives.regularized import RegularizedObjective
from hydra_tf.ops.rows import weighted_mean

# The originals' guards against a logarithm of zero and a weight of zero.
_LOG_STABILISER = 1e-12
_ABOVE_ONE = 1.0001
_JUST_ABOVE_ONE = 1.0000001


@keras.saving.register_keras_serializable(package="hydra_tf")
class MART(RegularizedObjective):
    """Boosted cross-entropy plus a divergence weighted by misclassification.

    With `p = softmax f(x)` and `q = softmax f(x')`, the batch mean of

        CE(f(x'), y) - log(1 - max_{c != y} q_c) + beta KL(p || q) (1 - p_y)

    where `x'` maximises cross-entropy within the ball around `x`, from a start
    at `x + 0.001 * N(0, 1)`. The attack runs in inference mode.

    Loss terms: `robust_bce`, the first two summands, and `robust_kl`, which
    includes `beta`. Labels are classes, as both terms speak of one that is
    right; they may be one-hot, but not soft.

    Args:
        beta: Float >= 0, weight of the divergence.
        epsilon: Float >= 0, radius of the ball.
        step_size: Float >= 0, or None: `epsilon / 4` for Linf, which is 2/255
            for the default epsilon, and `2 * epsilon / num_steps` for L2.
        num_steps: Integer >= 0 or schedule, number of steps.
        threat_model: `"linf"` or `"l2"`.
        clip: Least and largest value of a pixel, which the images are checked
            against and perturbed ones clipped to; `None` for no limits.

    Reference:

    - [Wang et al., 2020](https://openreview.net/forum?id=rklOg6EFwS)
    """

    term_names = ("robust_bce", "robust_kl")
    attack_loss = "ce"

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
        y = class_labels(y)
        # Two passes, never one on both: batch statistics must not be mixed.
        natural = call_model(model, x, training)
        adversarial = call_model(model, perturbed, training)
        q = tf.nn.softmax(adversarial)
        boosted = cross_entropy(adversarial, y) - tf.math.log(
            _ABOVE_ONE - largest_other(q, y) + _LOG_STABILISER
        )
        log_p = tf.nn.log_softmax(natural)
        p = tf.exp(log_p)
        divergence = tf.reduce_sum(
            p * (log_p - tf.math.log(q + _LOG_STABILISER)), axis=-1
        )
        p_label = tf.gather(p, y, axis=-1, batch_dims=1)
        weighted = divergence * (_JUST_ABOVE_ONE - p_label)
        return Loss.of_terms(
            {
                "robust_bce": weighted_mean(boosted, sample_weight),
                "robust_kl": self.beta * weighted_mean(weighted, sample_weight),
            },
            natural_logits=natural,
            robust_logits=adversarial,
        )
