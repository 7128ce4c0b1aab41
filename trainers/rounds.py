"""The rounds of a prune phase in several steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import keras

from hydra_tf import pruning
from hydra_tf import training
from trainers import checkpoints
from trainers import optimizers
from trainers import progress

if TYPE_CHECKING:
    from flags.pruning_flags import PruningSettings
    from flags.training_flags import TrainingSettings
    from hydra_tf.data import Pipeline
    from trainers.phase import Phase


def callback(
    phase: Phase,
    settings: PruningSettings,
    model: training.RobustModel,
    data: Pipeline,
) -> pruning.MultiStepPruning:
    """Returns what prunes a little more at the start of some epochs.

    Args:
        phase: The phase.
        settings: The method, and the density that its rounds lead to.
        model: What the phase trains.
        data: The training images.
    """
    allocation = settings.allocation
    if settings.learns_densities:
        # Where the densities of a round start.
        allocation = settings.rates or "uniform"
    scores: Any = settings.scores_init
    if settings.trains_scores:
        scores = _trained_scores(phase, settings, data, model.network)
    return pruning.MultiStepPruning(
        model.network,
        schedule(settings, phase.epochs),
        scores=scores,
        allocation=allocation,
        data=next(data.dataset().as_numpy_iterator()),
        seed=phase.training.seed,
        on_prune=model.freeze_pruned_weights,
    )


def schedule(settings: PruningSettings, epochs: int) -> Callable[[int], Any]:
    """Returns when `--multistep` prunes, and to what sparsity.

    Args:
        settings: Final density, number of rounds and shape of the schedule.
        epochs: Epochs of the prune phase, over which the rounds are spread.
            The first of them begins with a round.
    """
    import tensorflow_model_optimization as tfmot

    sparsity = 1 - settings.density
    rounds = min(settings.pruning_rounds, epochs)
    frequency = epochs // rounds
    if settings.pruning_schedule == "constant":
        return tfmot.sparsity.keras.ConstantSparsity(
            sparsity, begin_step=0, frequency=frequency
        )
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=rounds * frequency,
        frequency=frequency,
    )
    # Its first step is that of the initial sparsity, which needs no round.
    return lambda epoch: schedule(epoch + frequency)


def _trained_scores(
    phase: Phase,
    settings: PruningSettings,
    data: Pipeline,
    network: keras.Model,
) -> training.TrainedScores:
    """Returns the training of scores that a round consists of."""
    epochs = settings.round_epochs
    return training.TrainedScores(
        phase.objective.build(),
        data.dataset(),
        epochs=epochs,
        optimizer=optimizers.make(
            # A round is too short for a warm-up.
            dataclasses.replace(phase.training, warmup_epochs=0),
            _learning_rate(settings, phase.training),
            epochs,
            data.steps_per_epoch,
        ),
        initial=settings.scores_init,
        learns=settings.learn if settings.learns_densities else None,
        gamma_step=settings.compression_gamma,
        resource=settings.compression_resource,
        train_normalization=settings.train_normalization,
        callbacks=lambda: [
            checkpoints.FiniteGuard("prune", network.weights),
            progress.EpochLines(
                "  scores", epochs, data.steps_per_epoch, phase.progress
            ),
        ],
        seed=phase.training.seed,
    )


def _learning_rate(
    settings: PruningSettings, training_settings: TrainingSettings
) -> float:
    """Returns the peak learning rate of a round's scores."""
    if settings.round_learning_rate is not None:
        return settings.round_learning_rate
    recipe = dataclasses.replace(training_settings, learning_rate=None)
    return recipe.peak_learning_rate("prune")
