"""What a training needs of a `Pruning`: pressure on densities, and rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from hydra_tf.objectives.base import Objective
from hydra_tf.pruning.method import Pruning
from hydra_tf.pruning.multistep import MultiStepPruning
from hydra_tf.pruning.scores import first_batch
from hydra_tf.training.harp import Compression
from hydra_tf.training.multistep import DEFAULT_BATCH_SIZE
from hydra_tf.training.multistep import TrainedScores
from hydra_tf.training.optimizers import SGD
from hydra_tf.training.robust_model import RobustModel

# As in HYDRA.
_LEARNING_RATE, _MOMENTUM = 0.1, 0.9


def has_rounds(pruning: Pruning | None, epochs: int) -> bool:
    """Whether a prune phase prunes between its epochs.

    Args:
        pruning: The method; `None` in other phases.
        epochs: Epochs of the phase. Without any, the network is pruned at once.
    """
    return pruning is not None and pruning.multistep and epochs > 0


def compression_of(pruning: Pruning | None, epochs: int) -> Compression | None:
    """Returns what holds learned densities to their target in a prune phase.

    For `compression` of `hydra_tf.RobustModel`.

    Args:
        pruning: The method; `None` in other phases.
        epochs: Epochs of the phase.

    Returns:
        `None` where the phase itself learns no densities: those of rounds are
        learned within each round.
    """
    if (
        pruning is None
        or not pruning.learns_densities
        or has_rounds(pruning, epochs)
    ):
        return None
    return Compression(
        pruning.density,
        gamma_step=pruning.gamma_step,
        resource=pruning.resource,
    )


def rounds_of(
    pruning: Pruning | None,
    model: RobustModel,
    data: Any,
    objective: Objective,
    *,
    epochs: int,
    optimizer: Callable[[float | None, int], keras.Optimizer] | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    callbacks: Callable[[], list[keras.callbacks.Callback]] | None = None,
) -> MultiStepPruning | None:
    """Returns the callback that prunes in rounds in a prune phase.

    For `callbacks` of `fit`.

    Args:
        pruning: The method; `None` in other phases.
        model: What the phase trains; its network is masked, from
            `Pruning.start`.
        data: The images and labels to train on: a pair of arrays, or a
            `tf.data.Dataset` of batches of such pairs.
        objective: What scores train on, where the method trains them.
        epochs: Epochs of the phase, over which the rounds are spread.
        optimizer: Function of the peak learning rate of a round's scores
            (`None`: that of the recipe) and the epochs of a round; it returns
            the optimiser of a round. By default SGD with momentum.
        batch_size: Integer, for arrays.
        seed: Integer from 0 to 2**31 - 1.
        callbacks: Function that returns the Keras callbacks of one round.

    Returns:
        `None` where there are no rounds.
    """
    if pruning is None or not has_rounds(pruning, epochs):
        return None
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
            optimizer=(optimizer or _sgd)(
                pruning.round_learning_rate, pruning.round_epochs
            ),
            batch_size=batch_size,
            initial=pruning.scores,
            learns=pruning.learn if pruning.learns_densities else None,
            gamma_step=pruning.gamma_step,
            resource=pruning.resource,
            train_normalization=pruning.train_normalization,
            callbacks=callbacks,
            seed=seed,
        )
    return MultiStepPruning(
        model.network,
        pruning.round_schedule(epochs),
        scores=scores,
        allocation=allocation,
        data=(
            first_batch(data, batch_size or DEFAULT_BATCH_SIZE)
            if pruning.needs_data
            else None
        ),
        seed=seed,
        on_prune=model.freeze_pruned_weights,
    )


def _sgd(learning_rate: float | None, epochs: int) -> keras.Optimizer:
    """Returns the optimiser of a round unless another is asked for."""
    return SGD(learning_rate or _LEARNING_RATE, momentum=_MOMENTUM)
