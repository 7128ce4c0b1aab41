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
from hydra_tf.ops.rows import weighted_mean
from hydra_tf.registry.objectives import CLIP


@keras.saving.register_keras_serializable(package="hydra_tf")
class Natural(Objective):
    """Cross-entropy on the images as they are.

    Loss term: `natural_ce`.

    Args:
        clip: Least and largest value of a pixel, which the images are checked
            against; `None` for no limits.
    """

    term_names = ("natural_ce",)
    soft_labels = True

    def __init__(self, *, clip: tuple[float, float] | None = (0.0, 1.0)):
        self.clip = CLIP.check(clip)

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
        logits = call_model(model, x, training)
        losses = cross_entropy(logits, y)
        terms = {"natural_ce": weighted_mean(losses, sample_weight)}
        return Loss.of_terms(terms, natural_logits=logits)
