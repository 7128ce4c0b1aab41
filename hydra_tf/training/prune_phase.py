"""What the prune phase does besides training: compression, rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from hydra_tf import pruning as pruning_methods
from hydra_tf.training.compression import Compression
from hydra_tf.training.epoch_lines import EpochLines
from hydra_tf.training.finite_guard import FiniteGuard
from hydra_tf.training.multistep import TrainedScores
from hydra_tf.training.robust_model import RobustModel
from hydra_tf.training.train_data import TrainData

if TYPE_CHECKING:
    from hydra_tf.training.phase import Phase


def compression_of(pruning: Any) -> Compression:
    """Returns what draws the densities that are learned to their target.

    Args:
        pruning: A `hydra_tf.pruning.Pruning` that learns densities.
    """
    return Compression(
        pruning.density,
        gamma_step=pruning.gamma_step,
        resource=pruning.resource,
    )


def rounds_of(
    phase: Phase, model: RobustModel, data: TrainData, *, progress: str
) -> pruning_methods.MultiStepPruning:
    """Returns what prunes a little more at the start of some epochs.

    Args:
        phase: A prune phase in several steps.
        model: What it trains.
        data: The training images.
        progress: What is written to stdout.
    """
    pruning = phase.pruning
    scores: Any = pruning.scores
    if pruning.trains_scores:
        scores = _trained_scores(phase, data, model, progress)
    allocation = pruning.allocation
    if pruning.learns_densities:
        # Where the densities of a round start.
        allocation = pruning.rates or "uniform"
    return pruning_methods.MultiStepPruning(
        model.network,
        schedule(pruning, phase.epochs),
        scores=scores,
        allocation=allocation,
        data=next(data.dataset().as_numpy_iterator()),
        seed=phase.seed,
        on_prune=model.freeze_pruned_weights,
    )


def schedule(pruning: Any, epochs: int) -> Callable[[int], Any]:
    """Returns when multi-step pruning prunes, and to what sparsity.

    Args:
        pruning: Final density, number of rounds and shape of the schedule.
        epochs: Epochs of the prune phase, over which the rounds are spread.
            The first of them begins with a round.
    """
    import tensorflow_model_optimization as tfmot

    sparsity = 1 - pruning.density
    rounds = min(pruning.rounds, epochs)
    frequency = epochs // rounds
    if pruning.schedule == "constant":
        return tfmot.sparsity.keras.ConstantSparsity(
            sparsity, begin_step=0, frequency=frequency
        )
    decay = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=rounds * frequency,
        frequency=frequency,
    )
    # Its first step is that of the initial sparsity, which needs no round.
    return lambda epoch: decay(epoch + frequency)


def _trained_scores(
    phase: Phase, data: TrainData, model: RobustModel, progress: str
) -> TrainedScores:
    """Returns the training of scores that a round consists of."""
    pruning = phase.pruning
    epochs = pruning.round_epochs
    return TrainedScores(
        phase.objective,
        data.dataset(),
        epochs=epochs,
        optimizer=phase.optimizer.of_rounds(pruning.round_learning_rate).make(
            phase.name, epochs, data.steps_per_epoch
        ),
        initial=pruning.scores,
        learns=pruning.learn if pruning.learns_densities else None,
        gamma_step=pruning.gamma_step,
        resource=pruning.resource,
        train_normalization=pruning.train_normalization,
        callbacks=lambda: [
            FiniteGuard("prune", model.network.weights),
            EpochLines("  scores", epochs, data.steps_per_epoch, progress),
        ],
        seed=phase.seed,
    )
