"""How far the densities of a model are above a target, as a loss."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.pruning.report import uses_per_weight

RESOURCES = ("weights", "flops")


def check_resource(resource: Any) -> None:
    """Raises `InputError` unless an argument names what is to be saved."""
    if resource not in RESOURCES:
        raise InputError(
            f"`resource` must be one of {', '.join(RESOURCES)}. "
            f"{close_matches(str(resource), RESOURCES)} "
            f"Received: resource={resource!r}"
        )


class CompressionLoss:
    """The excess of a model's densities over a target, relative to it.

    Computes `max(current / target - 1, 0)`. `current` is the fraction of all
    weights in masked layers that the densities of this moment keep, the
    learned ones as the continuous numbers that they are; so the loss has a
    gradient with respect to the layers' rates. `target` is the same fraction
    at one density for all. That is the density itself where single weights
    are pruned; where channels are, a layer between two that are pruned keeps
    about its square.

    With `resource="flops"`, each weight counts as often as it is used for one
    example.

    Args:
        model: Model with masked layers, built.
        density: Float in (0, 1], the target.
        resource: `"weights"` or `"flops"`.

    Attributes:
        target: Float, the fraction that may be kept.

    Raises:
        InputError: If an argument is wrong, or FLOPs are unknown because the
            model was built for images of any size.

    Example:

    >>> import hydra_tf
    >>> model = hydra_tf.to_masked(
    ...     keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]),
    ...     density=0.5)
    >>> float(hydra_tf.CompressionLoss(model, 0.25)())
    1.0

    Reference:

    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3.3
    """

    def __init__(
        self, model: keras.Model, density: float, resource: str = "weights"
    ) -> None:
        check_density(density)
        check_resource(resource)
        prunable_layers(model)
        layers = masked_layers(model)
        costs = [
            layer_cost(name, layer, resource) for name, layer in layers.items()
        ]
        self._layers = list(layers.values())
        self._shares = [cost / sum(costs) for cost in costs]
        self.target = sum(
            share * float(layer.expected_density(float(density)))
            for share, layer in zip(self._shares, self._layers, strict=True)
        )

    def current(self) -> tf.Tensor:
        """Returns the fraction that is kept now, a float32 scalar."""
        return tf.add_n(
            [
                share * layer.expected_density()
                for share, layer in zip(self._shares, self._layers, strict=True)
            ]
        )

    def __call__(self) -> tf.Tensor:
        """Returns the loss, a float32 scalar."""
        return tf.maximum(self.current() / self.target - 1.0, 0.0)

    def is_reached(self) -> bool:
        """Returns whether the loss, rounded to four decimals, is 0."""
        return bool(np.round(np.float32(self()), 4) == 0)


def layer_cost(name: str, layer: Any, resource: str) -> int:
    """Returns what all weights of a layer's kernel together cost.

    Args:
        name: The layer's name in the model.
        layer: Built masked layer.
        resource: `"weights"` or `"flops"`.

    Raises:
        InputError: If FLOPs are unknown.
    """
    weights = math.prod(layer.kernel.shape)
    if resource == "weights":
        return weights
    uses = uses_per_weight(layer)
    if uses is None:
        raise InputError(
            "`resource` cannot be 'flops': how often layer "
            f"'{name}' uses its weights is unknown, as the model takes images "
            "of any size. Build it for one size, or use 'weights'"
        )
    return 2 * uses * weights
