"""CROWN-IBP: training on a mixture of CROWN and interval bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.objectives.ibp import IBP
from hydra_tf.registry.objectives import CROWN_WEIGHT
from hydra_tf.schedules import Schedule
from hydra_tf.schedules import as_schedule
from hydra_tf.schedules import value_at

if TYPE_CHECKING:
    from hydra_tf.bounds import BoundPropagation

# Below this weight CROWN's pass is left out.
_NEGLIGIBLE = 1e-5


@keras.saving.register_keras_serializable(package="hydra_tf")
class CROWNIBP(IBP):
    """Cross-entropy of worst logits between those of CROWN-IBP and of IBP.

    As `IBP`, with the margins `t * m_CROWN + (1 - t) * m_IBP`, where `m_CROWN`
    comes from a pass of CROWN over interval bounds on the hidden layers. The
    weight `t` goes from 1 to 0 while the radius grows: CROWN's bounds are
    tighter, those of intervals easier to train on in the end. Once it is below
    1e-5 a step costs what it does in `IBP`.

    Loss term: `robust_ce`. Figures: those of `IBP`, and `crown_weight`.

    Args:
        epsilon: Float >= 0 or schedule, Linf radius.
        clip: Least and largest value of a pixel, to which the boxes are
            clipped, or `None` for no limits.
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
        clip: tuple[float, float] | None = (0.0, 1.0),
        crown_weight: float | Schedule | None = None,
    ):
        super().__init__(epsilon=epsilon, clip=clip)
        self.crown_weight = crown_weight
        self._crown_weight = (
            None
            if crown_weight is None
            else as_schedule(CROWN_WEIGHT, crown_weight)
        )

    def bound_margins(
        self,
        propagation: BoundPropagation,
        spec: tf.Tensor,
        epsilon: float | tf.Tensor,
        epoch: Any,
    ) -> tuple[tf.Tensor, dict[str, float | tf.Tensor]]:
        # Before the branch, which shares the intervals.
        ibp, _ = propagation.bound("ibp", spec, upper=False)
        weight = self._weight(epsilon, epoch)

        def mixed() -> tf.Tensor:
            crown, _ = propagation.bound("crown_ibp", spec, upper=False)
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
