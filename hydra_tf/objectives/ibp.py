"""Interval bound propagation: training on interval bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.attacks.noise import Seed
from hydra_tf.objectives.loss import Loss
from hydra_tf.objectives.verifiable import VerifiableObjective
from hydra_tf.objectives.verifiable import certified_share
from hydra_tf.objectives.verifiable import margin_cross_entropy
from hydra_tf.schedules import value_at

if TYPE_CHECKING:
    from hydra_tf.bounds import BoundPropagation


@keras.saving.register_keras_serializable(package="hydra_tf")
class IBP(VerifiableObjective):
    """Cross-entropy of the worst logits that interval bounds allow.

    With `m_j` the interval lower bound on `f_y - f_j` over all images within
    the radius, the batch mean of `log(1 + sum_j exp(-m_j))`. The natural loss
    is no part of it.

    Loss term: `robust_ce`. Figures: `certified_accuracy`, by the same bounds,
    `natural_ce` and `epsilon`.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius. Training succeeds where
            it grows from 0, for instance
            `ht.schedules.LinearRamp(0, 120, 0.0, 2 / 255)`.
        clip: Least and largest value of a pixel, to which the boxes are
            clipped, or `None` for no limits.

    Reference:

    - [Gowal et al., 2018](https://arxiv.org/abs/1810.12715)
    """

    term_names = ("robust_ce",)
    figure_names: tuple[str, ...] = (
        "certified_accuracy",
        "natural_ce",
        "epsilon",
    )

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
        epsilon = value_at(self._epsilon, epoch)
        weights = None
        if sample_weight is not None:
            rows = tf.cast(tf.shape(x)[0], tf.float32)
            weights = tf.cast(sample_weight, tf.float32) / rows
        propagation, spec = self.propagation(model, x, y, epsilon)
        margins, figures = self.bound_margins(propagation, spec, epsilon, epoch)
        # Only now: the bounds shall not see statistics of this very batch.
        natural = tf.stop_gradient(call_model(model, x, training))
        return Loss.of_terms(
            {"robust_ce": margin_cross_entropy(margins, weights)},
            figures={
                "certified_accuracy": (certified_share(margins), 1.0),
                "natural_ce": (tf.reduce_mean(cross_entropy(natural, y)), 1.0),
                "epsilon": epsilon,
                **figures,
            },
            natural_logits=natural,
        )

    def bound_margins(
        self,
        propagation: BoundPropagation,
        spec: tf.Tensor,
        epsilon: float | tf.Tensor,
        epoch: Any,
    ) -> tuple[tf.Tensor, dict[str, float | tf.Tensor]]:
        """Returns lower bounds on the margins, and figures for the logs.

        Args:
            propagation: Of the boxes of a batch.
            spec: The margins' specification.
            epsilon: The radius, a number if it is known beforehand.
            epoch: Float32 scalar, or None: the end of every schedule.
        """
        return propagation.bound("ibp", spec, upper=False)[0], {}
