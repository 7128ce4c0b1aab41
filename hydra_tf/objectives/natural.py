"""Ordinary training: no attack."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.objectives.base import Objective


@keras.saving.register_keras_serializable(package="hydra_tf")
class Natural(Objective):
    """Cross-entropy on the images as they are.

    Loss term: `natural_ce`.
    """

    term_names = ("natural_ce",)

    def loss_terms(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
    ) -> dict[str, tf.Tensor]:
        logits = call_model(model, x, training)
        return {"natural_ce": tf.reduce_mean(cross_entropy(logits, y))}
