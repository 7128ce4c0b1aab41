"""Ordinary training: no attack."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.noise import Seed
from hydra_tf.objectives.base import Objective
from hydra_tf.objectives.loss import Loss


@keras.saving.register_keras_serializable(package="hydra_tf")
class Natural(Objective):
    """Cross-entropy on the images as they are.

    Loss term: `natural_ce`.
    """

    term_names = ("natural_ce",)

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
    ) -> Loss:
        logits = call_model(model, x, training)
        terms = {"natural_ce": tf.reduce_mean(cross_entropy(logits, y))}
        return Loss.of_terms(terms, natural_logits=logits)
