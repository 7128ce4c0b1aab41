"""What a training needs of a `Pruning`: pressure on densities, and rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.objectives.base import Objective
from hydra_tf.pruning.method import Pruning
from hydra_tf.pruning.multistep import MultiStepPruning
from hydra_tf.pruning.scores import first_batch
from hydra_tf.training.harp import Compression
from hydra_tf.training.multistep import TrainedScores
from hydra_tf.training.robust_model import RobustModel


def compression_of(pruning: Pruning) -> Compression:
    """Returns what holds densities that a phase learns to their target.

    For `compression` of `hydra_tf.RobustModel`.
    """
    return Compression(
        pruning.density,
        gamma_step=pruning.gamma_step,
        resource=pruning.resource,
    )


def first_full_epoch(pruning: Pruning, epochs: int) -> int:
    """Returns the first epoch, from 0, of the density that rounds lead to.

    Args:
        pruning: A multi-step method.
        epochs: Epochs of the phase, over which the rounds are spread.
    """
    schedule = pruning.round_schedule(epochs)
    rounds = {
        epoch: float(sparsity)
        for epoch in range(epochs)
        for should_prune, sparsity in [schedule(epoch)]
        if bool(should_prune)
    }
    # They are sums in float32.
    full = max(rounds.values()) - 1e-6
    return min(epoch for epoch, each in rounds.items() if each >= full)


def rounds_of(
    pruning: Pruning,
    model: RobustModel,
    data: tf.data.Dataset,
    objective: Objective,
    *,
    epochs: int,
    optimizer: Callable[[float | None, int], keras.Optimizer],
    seed: int = 0,
    callbacks: Callable[[], list[keras.callbacks.Callback]] | None = None,
) -> MultiStepPruning:
    """Returns the callback that prunes in rounds in a prune phase.

    For `callbacks` of `fit`.

    Args:
        pruning: A multi-step method.
        model: What the phase trains; its network is masked, from
            `Pruning.start`.
        data: Batches of the images and labels to train on.
        objective: What scores train on, where the method trains them.
        epochs: Epochs of the phase, over which the rounds are spread.
        optimizer: Function of the peak learning rate of a round's scores
            (`None`: that of the recipe) and the epochs of a round; it returns
            the optimiser of a round.
        seed: Integer from 0 to 2**31 - 1.
        callbacks: Function that returns the Keras callbacks of one round.
    """
    allocation: Any = pruning.allocation
    if pruning.learns_densities:
        # Where the densities of a round start.
        allocation = pruning.rates or "uniform"
    scores: Any = pruning.scores
    if pruning.trains_scores:
        scores = TrainedScores(
            objective,
            data,
            epochs=pruning.round_epochs,
            optimizer=optimizer(
                pruning.round_learning_rate, pruning.round_epochs
            ),
            initial=pruning.scores,
            learns=pruning.learn if pruning.learns_densities else None,
            gamma_step=pruning.gamma_step,
            resource=pruning.resource,
            train_normalization=pruning.train_normalization,
            score_perturbation=pruning.score_perturbation,
            callbacks=callbacks,
            seed=seed,
        )
    return MultiStepPruning(
        model.network,
        pruning.round_schedule(epochs),
        scores=scores,
        allocation=allocation,
        data=first_batch(data) if pruning.needs_data else None,
        seed=seed,
        on_prune=model.freeze_pruned_weights,
    )
