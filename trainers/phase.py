"""Training a network for one phase, from wherever it was stopped."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import interrupts
from hydra_tf import pruning
from hydra_tf import training
from hydra_tf.errors import InputError
from trainers import checkpoints
from trainers import console
from trainers import copies
from trainers import optimizers
from trainers import progress
from trainers import rounds
from trainers import tensorboard
from trainers.precision import with_precision
from trainers.run_folder import RunFolder

if TYPE_CHECKING:
    from flags.objective_flags import ObjectiveSettings
    from flags.pruning_flags import PruningSettings
    from flags.training_flags import TrainingSettings
    from hydra_tf.data import Pipeline


_JIT_COMPILE = {"auto": "auto", "on": True, "off": False}


@dataclasses.dataclass(frozen=True)
class Phase:
    """What one phase trains, on what, and how it is shown.

    Attributes:
        name: `"pretrain"`, `"prune"` or `"finetune"`.
        epochs: Number of epochs.
        training: Optimiser, learning rate and so on.
        objective: What is minimised.
        pruning: How weights are chosen, `None` in pretraining.
        precision: Dtype policy of the computation.
        progress: The value of `--progress`.
        images: Test images shown in TensorBoard, perhaps none.
        labels: Their classes.
    """

    name: str
    epochs: int
    training: TrainingSettings
    objective: ObjectiveSettings
    pruning: PruningSettings | None
    precision: str
    progress: str
    images: np.ndarray
    labels: np.ndarray


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the strategy that `--strategy` names.

    Args:
        name: `"auto"`, `"none"` or `"mirrored"`.
    """
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
    # A single device has nothing to mirror.
    if name != "none" and len(devices) > 1:
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.get_strategy()


def check_warmup(settings: TrainingSettings, phase: str, epochs: int) -> None:
    """Checks that a phase is longer than its warm-up.

    Args:
        settings: Optimiser, learning rate and so on.
        phase: Name of the phase.
        epochs: Its epochs; with 0 there is nothing to warm up.

    Raises:
        InputError: If it is not.
    """
    if epochs and settings.warmup_epochs >= epochs:
        raise InputError(
            f"--warmup_epochs={settings.warmup_epochs} must be less than the "
            f"{epochs} epochs of the {phase} phase"
        )


def train(
    phase: Phase,
    network: keras.Model,
    data: Pipeline,
    folder: RunFolder,
    strategy: tf.distribute.Strategy,
) -> keras.Model:
    """Trains a network and writes it to the run's folder.

    Args:
        phase: What to do.
        network: The network to start from; for `"prune"` and `"finetune"` a
            masked one with its scores and densities.
        data: The training images.
        folder: The folder of the run. A state that it holds of this phase is
            gone on from.
        strategy: Distribution over devices.

    Returns:
        The trained network, in float32.

    Raises:
        DivergedError: If the loss or a weight is not finite.
        Interrupted: If a signal was received.
    """
    if phase.epochs:
        network = _fit(phase, network, data, folder, strategy)
    else:
        _set_phase(network, phase)
    if _learns_densities(phase):
        _settle(network, phase)
    network = with_precision(network, "float32")
    checkpoints.save_model(network, folder.finished(phase.name))
    folder.state(phase.name).unlink(missing_ok=True)
    return network


def _fit(
    phase: Phase,
    network: keras.Model,
    data: Pipeline,
    folder: RunFolder,
    strategy: tf.distribute.Strategy,
) -> keras.Model:
    """Returns the network after all epochs of the phase."""
    keras.config.set_dtype_policy(phase.precision)
    result = with_precision(network, phase.precision)
    with strategy.scope():
        # Variables of the strategy have to be made in its scope.
        network = _replicated(result, strategy)
        _set_phase(network, phase)
        model = training.RobustModel(
            network,
            phase.objective.build(),
            seed=phase.training.seed,
            compression=_compression(phase),
        )
        model.compile(
            optimizer=_optimizer(phase, data.steps_per_epoch),
            steps_per_execution=phase.training.steps_per_execution,
            jit_compile=_JIT_COMPILE[phase.training.jit_compile],
        )
        model.optimizer.build(model.trainable_variables)
    variables = [*network.variables, *model.optimizer.variables]
    best = None
    if model.compression_state is not None:
        variables += model.compression_state.variables
        best = training.BestWeights(
            # Before that, objectives with a ramp are easier than they will be.
            start_from_epoch=math.ceil(phase.objective.ramp_end)
        )
        best.set_model(model)
    history: list[dict[str, float]] = []
    first_epoch = 0
    if folder.state(phase.name).is_file():
        first_epoch, further = checkpoints.restore_state(
            folder.state(phase.name), variables
        )
        if best is not None:
            best.set_state(further)
        history = folder.read_history(phase.name)[:first_epoch]
        console.say(f"  going on after epoch {first_epoch} of {phase.epochs}")
    keeper = checkpoints.EpochCheckpoint(
        folder, phase.name, variables, history, best
    )
    callbacks = [
        *_method_callbacks(phase, model, data),
        checkpoints.FiniteGuard(phase.name, network.weights),
        *([] if best is None else [best]),
        keeper,
        progress.EpochLines(
            phase.name,
            phase.epochs,
            data.steps_per_epoch,
            phase.progress,
            # Noise is no attack.
            "noisy" if phase.objective.objective == "smoothing" else "robust",
        ),
        tensorboard.PhaseEvents(
            folder.events / phase.name,
            network,
            phase.images,
            phase.labels,
            phase.objective,
            phase.training.seed,
            densities_change=_learns_densities(phase) or _is_multistep(phase),
        ),
    ]
    if first_epoch < phase.epochs:
        try:
            model.fit(
                data.dataset(
                    first_epoch=first_epoch,
                    num_epochs=phase.epochs - first_epoch,
                ),
                initial_epoch=first_epoch,
                epochs=phase.epochs,
                steps_per_epoch=data.steps_per_epoch,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
        except interrupts.Interrupted as stop:
            stop.where = (
                "run the same command to go on from epoch "
                f"{len(keeper.history) + 1} of {phase.epochs} of the "
                f"{phase.name} phase"
            )
            raise
        finally:
            keras.config.set_dtype_policy("float32")
    keras.config.set_dtype_policy("float32")
    if best is not None:
        # Also where all epochs were done before.
        best.restore()
    if network is not result:
        copies.copy_weights(network, result)
        _set_phase(result, phase)
    return result


def _replicated(
    network: keras.Model, strategy: tf.distribute.Strategy
) -> keras.Model:
    """Returns a copy with variables of the strategy, if it needs them."""
    if strategy.num_replicas_in_sync == 1:
        return network
    copy = keras.models.clone_model(network)
    copies.copy_weights(network, copy)
    return copy


def _set_phase(network: keras.Model, phase: Phase) -> None:
    """Tells every masked layer which of its variables train."""
    if phase.pruning is None:
        return
    name = phase.name
    if _is_multistep(phase):
        # Its rounds train the weights that are left, as finetuning does.
        name = "finetune"
    pruning.set_phase(
        network,
        name,
        train_normalization=phase.pruning.train_normalization,
    )


def _optimizer(phase: Phase, steps_per_epoch: int) -> keras.Optimizer:
    """Returns the optimiser with the phase's learning rates."""
    settings = phase.training
    check_warmup(settings, phase.name, phase.epochs)
    return optimizers.make(
        settings,
        settings.peak_learning_rate(phase.name),
        phase.epochs,
        steps_per_epoch,
    )


def _method_callbacks(
    phase: Phase, model: training.RobustModel, data: Pipeline
) -> list[keras.callbacks.Callback]:
    """Returns what the pruning method does between epochs."""
    if phase.pruning is None or not _is_multistep(phase):
        return []
    return [rounds.callback(phase, phase.pruning, model, data)]


def _compression(phase: Phase) -> training.Compression | None:
    """Returns what draws the densities that are learned to their target."""
    if phase.pruning is None or not _learns_densities(phase):
        return None
    return training.Compression(
        phase.pruning.density,
        gamma_step=phase.pruning.compression_gamma,
        resource=phase.pruning.compression_resource,
    )


def _settle(network: keras.Model, phase: Phase) -> None:
    """Turns the densities that were learned into counts within the target."""
    if phase.pruning is not None:
        pruning.settle_densities(
            network, phase.pruning.density, phase.pruning.compression_resource
        )


def _learns_densities(phase: Phase) -> bool:
    """Whether the phase itself learns densities, not a round within it."""
    return (
        phase.name == "prune"
        and phase.pruning is not None
        and phase.pruning.learns_densities
        and not _is_multistep(phase)
    )


def _is_multistep(phase: Phase) -> bool:
    return (
        phase.name == "prune"
        and phase.pruning is not None
        and phase.pruning.multistep
        and phase.epochs > 0
    )
