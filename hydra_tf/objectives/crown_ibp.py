"""Training on margins that hold for a whole box: IBP and CROWN-IBP."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.bounds import BoundPropagation
from hydra_tf.objectives.base import record_figures
from hydra_tf.objectives.verifiable import VerifiableObjective
from hydra_tf.objectives.verifiable import certified_share
from hydra_tf.objectives.verifiable import margin_cross_entropy
from hydra_tf.objectives.verifiable import propagation_and_spec
from hydra_tf.schedules import Schedule
from hydra_tf.schedules import as_schedule
from hydra_tf.schedules import value_at

# Below this weight CROWN's pass is left out.
_NEGLIGIBLE = 1e-5


@keras.saving.register_keras_serializable(package="hydra_tf")
class IBP(VerifiableObjective):
    """Cross-entropy of the worst logits that interval bounds allow.

    With `m_j` the interval lower bound of `f_y - f_j` over all images within
    the radius, the batch mean of `log(1 + sum_j exp(-m_j))`. The natural loss
    is no part of it.

    Loss term: `robust_ce`. Figures: `certified_accuracy`, by the same bounds,
    `natural_ce` and `epsilon`.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius; boxes are clipped to
            [0, 1]. Training succeeds where the radius grows from 0, for
            instance `ht.schedules.LinearRamp(0, 120, 0.0, 2 / 255)`.

    Reference:

    - [Gowal et al., 2018](https://arxiv.org/abs/1810.12715)
    """

    term_names = ("robust_ce",)
    figure_names: tuple[str, ...] = (
        "certified_accuracy",
        "natural_ce",
        "epsilon",
    )

    def loss_terms(
        self,
        model: Model,
        x: tf.Tensor,
        y: tf.Tensor,
        perturbed: tf.Tensor,
        training: bool = True,
        epoch: Any = None,
    ) -> dict[str, tf.Tensor]:
        figures = {"epsilon": value_at(self._epsilon, epoch)}
        propagation, spec = propagation_and_spec(
            model, x, y, figures["epsilon"]
        )
        margins, more_figures = self.bound_margins(
            propagation, spec, figures["epsilon"], epoch
        )
        # Only now: the bounds shall not see statistics of this very batch.
        natural = tf.stop_gradient(call_model(model, x, training))
        record_figures(
            model,
            {
                "certified_accuracy": (certified_share(margins), 1.0),
                "natural_ce": (tf.reduce_mean(cross_entropy(natural, y)), 1.0),
                **figures,
                **more_figures,
            },
        )
        return {"robust_ce": margin_cross_entropy(margins)}

    def bound_margins(
        self,
        propagation: BoundPropagation,
        spec: tf.Tensor,
        epsilon: float | tf.Tensor,
        epoch: Any,
    ) -> tuple[tf.Tensor, dict[str, float | tf.Tensor]]:
        """Returns lower bounds of the margins, and figures for the logs.

        Args:
            propagation: Of the boxes of a batch.
            spec: The margins' specification.
            epsilon: The radius, a number if it is known beforehand.
            epoch: Float32 scalar, or None: the end of every schedule.
        """
        return propagation.interval(spec, upper=False)[0], {}


@keras.saving.register_keras_serializable(package="hydra_tf")
class CROWNIBP(IBP):
    """Cross-entropy of worst logits between those of CROWN-IBP and of IBP.

    As `IBP`, with the margins `t * m_CROWN + (1 - t) * m_IBP`, where `m_CROWN`
    comes from a pass of CROWN over interval bounds of the hidden layers. The
    weight `t` goes from 1 to 0 while the radius grows: CROWN's bounds are
    tighter, those of intervals easier to train on in the end. Once it is below
    1e-5 a step costs what it does in `IBP`.

    Loss term: `robust_ce`. Figures: those of `IBP`, and `crown_weight`.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius; boxes are clipped to
            [0, 1].
        crown_weight: Float in [0, 1] or schedule, the weight `t`. None:
            `(target - epsilon) / target`, where `target` is the last value of
            `epsilon`; that is 0 where `epsilon` is a number.

    Example:
        ```python
        epsilon = ht.schedules.LinearRamp(0, 120, first=0.0, last=2 / 255)
        objective = ht.objectives.CROWNIBP(epsilon=epsilon)
        ```

    Reference:

    - [Zhang et al., 2019](https://arxiv.org/abs/1906.06316), equation 12
    """

    figure_names = (*IBP.figure_names, "crown_weight")

    def __init__(
        self,
        *,
        epsilon: float | Schedule = 2 / 255,
        crown_weight: float | Schedule | None = None,
    ):
        super().__init__(epsilon=epsilon)
        self.crown_weight = crown_weight
        self._crown_weight = (
            None
            if crown_weight is None
            else as_schedule("crown_weight", crown_weight, 0.0, 1.0)
        )

    def bound_margins(
        self,
        propagation: BoundPropagation,
        spec: tf.Tensor,
        epsilon: float | tf.Tensor,
        epoch: Any,
    ) -> tuple[tf.Tensor, dict[str, float | tf.Tensor]]:
        # Before the branch, which shares the intervals.
        ibp = propagation.interval(spec, upper=False)[0]
        weight = self._weight(epsilon, epoch)

        def mixed() -> tf.Tensor:
            crown = propagation.crown(spec, upper=False)[0]
            share = tf.cast(weight, crown.dtype)
            return share * crown + (1.0 - share) * ibp

        if tf.is_tensor(weight):
            margins = tf.cond(weight < _NEGLIGIBLE, lambda: ibp, mixed)
        else:
            margins = ibp if weight < _NEGLIGIBLE else mixed()
        return margins, {"crown_weight": weight}

    def _weight(
        self, epsilon: float | tf.Tensor, epoch: Any
    ) -> float | tf.Tensor:
        """Returns the weight of CROWN's margins, a number if it is known."""
        if self._crown_weight is not None:
            return value_at(self._crown_weight, epoch)
        target = self._epsilon.last
        if not tf.is_tensor(epsilon) or not target:
            return 0.0
        # A radius that falls to its target never was below it.
        return tf.clip_by_value((target - epsilon) / target, 0.0, 1.0)
