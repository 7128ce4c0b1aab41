"""Robust ADMM: weights are pulled towards the sparse ones next to them.

Reference:

- [Ye et al., 2019](https://arxiv.org/abs/1903.12561), section 3.3
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.layers import MaskedLayer
from hydra_tf.ops.masks import topk_mask
from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.courses.base import Course


class RobustADMM(Course):
    """Adds `rho / 2 * ||W - Z + U||^2` to the loss of all weights, then prunes.

    Z is the projection of W + U onto the kernels of the target density: what is
    largest stays, channels by their Euclidean norm. An update renews it, and
    adds W - Z to U. The last update prunes, and the weights that are left train
    on without the penalty.

    Until then the history has `admm_distance`, that of W from Z as a share of
    the norm of W.

    Reference:

    - [Ye et al., 2019](https://arxiv.org/abs/1903.12561), section 3.3
    """

    def begin(self) -> None:
        self._rho = _variable(self.pruning.admm_rho)
        super().begin()
        self._layers = {
            name: layer
            for group in self.groups
            for name, layer in group.layers.items()
        }
        self._targets = self._slots()
        self._duals = self._slots()
        self._project()
        self._regularizers = {
            name: layer.kernel.regularizer
            for name, layer in self._layers.items()
        }
        for name, layer in self._layers.items():
            layer.kernel.regularizer = _Pull(
                self._rho,
                self._targets[name],
                self._duals[name],
                self._regularizers[name],
            )

    @property
    def variables(self) -> list[keras.Variable]:
        return [
            *super().variables,
            self._rho,
            *self._targets.values(),
            *self._duals.values(),
        ]

    @property
    def at_target(self) -> bool:
        return not self._rho.numpy()

    def density_at(self, step: int) -> float:
        return self.pruning.density if self.at_target else 1.0

    def update(self, step: int) -> None:
        if step >= self.update_steps[-1]:
            # A step that has been traced sees the variable change.
            self._rho.assign(0.0)
            self.renew(self.density_at(step))
            return
        self._project()
        for name, dual in self._duals.items():
            weight = self._layers[name].kernel
            dual.assign_add(_float32(weight) - self._targets[name].value)

    def importances(self, group: ChannelGroup) -> tf.Tensor:
        return _squares(group, lambda name, layer: _float32(layer.kernel))

    def figures(self) -> dict[str, float]:
        pulled = {} if self.at_target else {"admm_distance": self._distance()}
        return {**super().figures(), **pulled}

    def finish(self) -> None:
        super().finish()
        for name, layer in self._layers.items():
            layer.kernel.regularizer = self._regularizers[name]

    def _slots(self) -> dict[str, keras.Variable]:
        return {
            name: _variable(tf.zeros(layer.kernel.shape))
            for name, layer in self._layers.items()
        }

    def _project(self) -> None:
        """Sets Z to the projection of W + U."""
        densities = self.densities(self.pruning.density)

        def moved(name: str, layer: MaskedLayer) -> tf.Tensor:
            return _float32(layer.kernel) + self._duals[name].value

        for group in self.groups:
            kept = topk_mask(_squares(group, moved), densities[group.names[0]])
            for name, layer in group.layers.items():
                side = layer.masked_kernel.sides[0]
                mask = layer.masked_kernel.axes.along(
                    side.axes, side.channels.spread(kept)
                )
                self._targets[name].assign(moved(name, layer) * mask)

    def _distance(self) -> float:
        weights = [_float32(each.kernel) for each in self._layers.values()]
        apart = [
            weight - target.value
            for weight, target in zip(
                weights, self._targets.values(), strict=True
            )
        ]
        ratio = tf.linalg.global_norm(apart) / tf.linalg.global_norm(weights)
        return float(ratio)


class _Pull(keras.regularizers.Regularizer):
    """The penalty of one kernel, and the regulariser that it has besides."""

    def __init__(
        self,
        rho: keras.Variable,
        target: keras.Variable,
        dual: keras.Variable,
        other: Callable[[Any], Any] | None,
    ) -> None:
        self._rho = rho
        self._target = target
        self._dual = dual
        self._other = other

    def __call__(self, x: Any) -> Any:
        apart = tf.cast(x, tf.float32) - self._target.value + self._dual.value
        penalty = 0.5 * self._rho.value * tf.reduce_sum(tf.square(apart))
        return penalty if self._other is None else penalty + self._other(x)


def _squares(
    group: ChannelGroup, values: Callable[[str, MaskedLayer], tf.Tensor]
) -> tf.Tensor:
    """Returns the squared norm of what each score of a group stands for."""
    return tf.add_n(
        [
            layer.masked_kernel.unit_sums(tf.square(values(name, layer)))
            for name, layer in group.layers.items()
        ]
    )


def _float32(variable: keras.Variable) -> tf.Tensor:
    return tf.cast(tf.convert_to_tensor(variable.value), tf.float32)


def _variable(value: Any) -> keras.Variable:
    return keras.Variable(value, trainable=False, dtype="float32")
