"""The best of IBP and CROWN, neither of which is always the tighter one."""

from __future__ import annotations

import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.crown import CROWN
from hydra_tf.bounds.ibp import IBP
from hydra_tf.bounds.methods import Method
from hydra_tf.bounds.neurons import LayerBounds
from hydra_tf.bounds.propagation import BoundPropagation


class _Best(Method):
    """The larger lower and the smaller upper bound of IBP and CROWN."""

    def __call__(
        self, propagation: BoundPropagation, spec: tf.Tensor | None, upper: bool
    ) -> Ends:
        return _tighter(
            CROWN(propagation, spec, upper), IBP(propagation, spec, upper)
        )

    def layers(self, propagation: BoundPropagation) -> LayerBounds:
        crown, ibp = CROWN.layers(propagation), IBP.layers(propagation)
        values = [
            one if one is other else Interval(*_tighter(one.ends, other.ends))
            for one, other in zip(crown.values, ibp.values, strict=True)
        ]
        return LayerBounds(values, crown.relaxations)


def _tighter(ends: Ends, others: Ends) -> Ends:
    lower = tf.maximum(ends[0], others[0])
    if ends[1] is None or others[1] is None:
        return lower, None
    return lower, tf.minimum(ends[1], others[1])


BEST = _Best()
