"""Gradients taken where the loss is worst near the weights, or the scores."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.layers.traversal import find_masked
from hydra_tf.registry.methods import SCORE_PERTURBATION
from hydra_tf.registry.training import PERTURBATION_WARMUP
from hydra_tf.registry.training import WEIGHT_PERTURBATION
from hydra_tf.training.running_statistics import running_statistics

_WEIGHTS = dataclasses.replace(WEIGHT_PERTURBATION, name="weights")
_SCORES = dataclasses.replace(SCORE_PERTURBATION, name="scores", default=0.0)
_WARMUP = dataclasses.replace(PERTURBATION_WARMUP, name="warmup_epochs")


@keras.saving.register_keras_serializable(package="hydra_tf")
class Perturbation:
    """Adversarial perturbation of weights (AWP) or of scores (S2AP).

    Minimises the loss at its worst near the weights, for a flat minimum. Each
    step of a `hydra_tf.RobustModel` that is given one moves every kernel `w`
    that trains to `w + weights * ||w|| * g / ||g||`, with the gradient `g` of
    the objective's loss, takes the gradient there on the same perturbed images,
    and applies it at `w`. Pruned weights stay at zero and count in no norm.
    Where scores `s` train they move by `scores * ||s||` likewise, and the mask
    with them. What the model reports is the loss without perturbation, and the
    running statistics are those of that pass.

    A step costs a forward and a backward pass more; the attack is made once.

    Args:
        weights: Float in [0, 1), relative radius of each kernel. AWP has 0.005
            for TRADES, 0.01 for PGD training.
        scores: Float in [0, 1), relative radius of the scores of each layer.
        warmup_epochs: Integer >= 0, epochs before there is any perturbation.

    Example:
        ```python
        robust = hydra_tf.RobustModel(
            network,
            hydra_tf.objectives.TRADES(),
            perturbation=hydra_tf.training.Perturbation(weights=0.005),
        )
        ```

    Reference:

    - [Wu et al., 2020](https://arxiv.org/abs/2004.05884), section 3 (AWP)
    - [Piras et al., 2025](https://arxiv.org/abs/2510.18381) (S2AP)
    """

    def __init__(
        self,
        *,
        weights: float = 0.0,
        scores: float = 0.0,
        warmup_epochs: int = 0,
    ) -> None:
        self.weights = float(_WEIGHTS.check(weights))
        self.scores = float(_SCORES.check(scores))
        self.warmup_epochs = int(_WARMUP.check(warmup_epochs))
        if not (self.weights or self.scores):
            raise InputError(
                "`weights` or `scores` must be above 0, for a perturbation. "
                "Received: weights=0, scores=0"
            )

    def begins(self, epoch: int) -> bool:
        """Whether an epoch is past the warm-up.

        Args:
            epoch: Number of epochs done.
        """
        return epoch >= self.warmup_epochs

    @contextlib.contextmanager
    def applied(
        self,
        network: keras.Model,
        variables: Sequence[keras.Variable],
        gradients: Sequence[Any],
    ) -> Iterator[None]:
        """Moves weights and scores for a block, which leaves no trace of it.

        For a step, in the context of a replica.

        Args:
            network: The network that trains.
            variables: What trains of it.
            gradients: Their gradients of the loss, the share of this replica;
                `None` for variables without any. Their scale does not matter.
        """
        moved = self._moved(network, variables, gradients)
        statistics = running_statistics(network)
        kept = [
            (variable, tf.identity(variable.value))
            for variable in (*(variable for variable, _ in moved), *statistics)
        ]
        for variable, value in moved:
            # Of the tensor alone: a mask that follows scores stays.
            variable.value.assign(value)
        try:
            yield
        finally:
            for variable, value in kept:
                variable.value.assign(value)

    def _moved(
        self,
        network: keras.Model,
        variables: Sequence[keras.Variable],
        gradients: Sequence[Any],
    ) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Returns what moves, each with its worst value."""
        masked = find_masked(network)
        scores = {
            id(scoring.values)
            for layer in masked
            for scoring in layer.masked_kernel.scorings
        }
        layers = {id(layer.kernel): layer for layer in masked}
        moving: list[tuple[keras.Variable, Any, float, Any]] = []
        for variable, gradient in zip(variables, gradients, strict=True):
            mask, radius = None, 0.0
            if id(variable) in scores:
                radius = self.scores
            # Biases and normalisation are no part of the weights' loss
            # landscape that AWP flattens.
            elif len(variable.shape) > 1:
                radius = self.weights
                if id(variable) in layers:
                    mask = layers[id(variable)].mask
            if radius and gradient is not None:
                moving.append((variable, gradient, radius, mask))
        if not moving:
            return []
        worst = _over_replicas([gradient for _, gradient, _, _ in moving])
        return [
            (variable, _worst(variable.value, gradient, radius, mask))
            for (variable, _, radius, mask), gradient in zip(
                moving, worst, strict=True
            )
        ]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments by name."""
        return {
            "weights": self.weights,
            "scores": self.scores,
            "warmup_epochs": self.warmup_epochs,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Perturbation:
        """Returns the perturbation that `get_config` describes."""
        return cls(**config)


def _over_replicas(gradients: list[Any]) -> list[tf.Tensor]:
    """Returns the gradients of the whole batch."""
    gradients = [tf.convert_to_tensor(each) for each in gradients]
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return gradients
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)


def _worst(
    value: tf.Tensor, gradient: tf.Tensor, radius: float, mask: Any
) -> tf.Tensor:
    """Returns a value one step of relative length `radius` up the gradient."""
    value = tf.convert_to_tensor(value)
    gradient = tf.cast(gradient, value.dtype)
    kept = value
    if mask is not None:
        mask = tf.stop_gradient(tf.cast(mask, value.dtype))
        kept, gradient = value * mask, gradient * mask
    # In two factors, as the square of a scaled gradient may overflow.
    direction = tf.math.divide_no_nan(gradient, tf.reduce_max(tf.abs(gradient)))
    length = tf.math.divide_no_nan(tf.norm(kept), tf.norm(direction))
    move = radius * length * direction
    # A step whose scaled gradients overflow is skipped by the optimiser.
    return value + tf.where(tf.math.is_finite(move), move, 0.0)
