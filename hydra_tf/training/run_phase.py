"""Training a network for one phase, from wherever it was stopped."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import data
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.graph import check_names
from hydra_tf.keras_internals import name_activations
from hydra_tf.layers.traversal import find_masked
from hydra_tf.objectives import Objective
from hydra_tf.training.arguments import check_arguments
from hydra_tf.training.arguments import check_network
from hydra_tf.training.attack_settings import AttackSettings
from hydra_tf.training.checkpoints import PhaseCheckpoints
from hydra_tf.training.network_inputs import NetworkInputs
from hydra_tf.training.optimizer_settings import as_optimizer_settings
from hydra_tf.training.phase import Phase
from hydra_tf.training.phase import check_perturbed
from hydra_tf.training.phase_training import Execution
from hydra_tf.training.phase_training import PhaseTraining
from hydra_tf.training.precision import with_precision
from hydra_tf.training.strategy import make_strategy
from hydra_tf.training.train_data import TrainData
from hydra_tf.training.train_data import as_train_data
from hydra_tf.training.train_data import as_validation_data
from hydra_tf.training.train_data import check_train_data
from hydra_tf.training.train_data import check_validation
from hydra_tf.training.train_data import digest_of
from hydra_tf.training.weights import fingerprint
from hydra_tf.training.workers import Workers


def run_phase(
    network: keras.Model | Callable[[], keras.Model],
    phase: str,
    train: Any,
    objective: Objective,
    *,
    epochs: int,
    folder: str | os.PathLike | None = None,
    pruning: Any = None,
    optimizer: str | keras.Optimizer = "sgd",
    learning_rate: float | None = None,
    lr_schedule: str = "cosine",
    warmup_epochs: int = 0,
    warmup_learning_rate: float | None = None,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    gradient_clipping: float = 0.0,
    seed: int = 0,
    precision: str = "float32",
    weight_averaging: float = 0.0,
    weight_perturbation: float = 0.0,
    perturbation_warmup: int = 0,
    quantize: str = "none",
    validation: Any = None,
    validation_attack: Objective | None = None,
    select: str = "last",
    patience: int = 0,
    warm_start: bool = False,
    num_steps_ramp: float = 0.0,
    attacked_input: str | None = None,
    strategy: str | tf.distribute.Strategy | None = None,
    steps_per_execution: int = 1,
    jit_compile: str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: str = "none",
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> keras.Model:
    """Trains a network for one phase, from wherever it was stopped.

    With a `folder`, the state of training is kept after every epoch. The same
    call made again resumes there, or returns the network of a phase that is
    finished; with a `hydra_tf.data.Pipeline` or arrays, it ends with the same
    weights as a phase that was never stopped. History and settings are JSON
    files beside it.

    A phase with learned densities ends with the weights of its best epoch (on
    `validation`, if there is some) and whole counts within the target.

    Args:
        network: Keras model from images to logits, which is trained in place
            unless precision or strategy need a copy; for `"prune"` and
            `"finetune"` with masks, as `hydra_tf.start_pruning` returns it. Or
            a function that returns it, called if the phase is not finished.
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
        train: A `hydra_tf.data.Pipeline`, a `tf.data.Dataset` of batches, or a
            pair of arrays: images in [0, 1] and labels. Or a function that
            returns it.
        objective: What is minimised, such as `hydra_tf.objectives.TRADES()`.
        epochs: Integer >= 0; 0 leaves the weights as they are.
        folder: Folder that gets `checkpoints/<phase>.*`.
        pruning: A `hydra_tf.pruning.Pruning`; needed in the prune phase for
            learned densities, perturbed scores, and where weights train in it:
            multi-step pruning and methods whose masks move.
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`; or a Keras optimiser, which
            has its own settings.
        learning_rate: Float > 0, the peak. By default the recipe's: 0.1 with
            SGD (0.01 to finetune), else 0.001 (0.0001).
        lr_schedule: `"cosine"`, `"one_cycle"`, `"step"` or `"constant"`.
        warmup_epochs: Integer >= 0, epochs before the schedule begins.
        warmup_learning_rate: Float > 0, by default a tenth of the peak.
        momentum: Float in [0, 1).
        weight_decay: Float >= 0.
        gradient_clipping: Float >= 0, largest norm of the gradient of all that
            trains together, such as 1 for vision transformers; 0 for any.
        seed: Integer >= 0 from which all random numbers of the phase follow.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        weight_averaging: Float in [0, 1), decay of an exponential moving
            average of the weights, such as 0.99: validation measures the
            average, and the phase ends with it. 0 for none.
        weight_perturbation: Float in [0, 1), relative radius of an adversarial
            perturbation of the weights (AWP) where weights train, such as
            0.005; see `Perturbation`. 0 for none.
        perturbation_warmup: Integer >= 0, epochs before perturbations of
            weights, and those of scores that `pruning` has, begin.
        quantize: `"none"`, or in the finetune phase `"int8"`: masked layers
            compute with inputs and weights rounded as the int8 formats of
            `hydra_tf.export` round them, in attacks and validation too
            (quantisation-aware training). What is returned is a float network.
        validation: Images and labels that do not train, given as `train` is,
            such as those of `hydra_tf.data.split_validation`. After every epoch
            the network is measured on them, natural and attacked; the figures
            have names in `val_`, as those of Keras.
        validation_attack: The objective whose `perturb` attacks in validation.
            By default `hydra_tf.training.validation_attack`: ten steps of PGD
            within the radius of `objective`.
        select: `"last"` or `"best"`, the epoch whose weights the phase ends
            with: best by certified, else robust accuracy on `validation`, where
            the density falls meanwhile among those of the final one.
        patience: Integer >= 0. Above 0 the phase stops early once so many
            epochs in a row were no better on `validation`, and ends with the
            best; `select` is `"best"` then. Epochs of a ramp of the objective,
            and those before the target density, are not among them.
        warm_start: Whether attacks start from the perturbations of the batch
            before, a guard against overfitting to one or two steps.
        num_steps_ramp: Float in [0, 1], share of the epochs in which the steps
            of an attack grow from 1 to the objective's `num_steps`.
        attacked_input: Name of the images among several inputs of the network,
            as for `hydra_tf.RobustModel`.
        strategy: `"auto"`, `"none"`, `"mirrored"`, `"multi_worker"`, `"tpu"`
            or a `tf.distribute.Strategy`; see `make_strategy`. Of many workers,
            which all make this call, the chief alone writes to `folder`.
        steps_per_execution: Integer >= 1, steps per call into TensorFlow, a
            divisor of those of an epoch. Masks that move are updated between
            calls.
        jit_compile: `"auto"`, `"on"` or `"off"`, whether XLA compiles the step.
        callbacks: Keras callbacks; their `model` is a `RobustModel`.
        progress: `"none"`, `"epochs"`, `"steps"` or `"auto"`: what is written
            to stdout.
        settings: Further settings to record and compare by name.
        overwrite: Whether to start the phase again.

    Returns:
        The trained network, in float32.

    Raises:
        InputError: If an argument cannot be used, or the folder holds the
            phase begun with other settings, or damaged.
        FileError: If the folder cannot be written, or no more (a kind of
            `InputError` and of `OSError`). What was complete stays, and the
            same call resumes there.
        DivergedError: If the loss or a weight is not finite.
        WorkersError: If another worker stopped, or not all came.

    Example:
        ```python
        network = ht.training.run_phase(
            network, "pretrain", train, ht.objectives.TRADES(), epochs=20
        )
        ```
    """
    chosen = as_optimizer_settings(
        optimizer,
        learning_rate=learning_rate,
        lr_schedule=lr_schedule,
        warmup_epochs=warmup_epochs,
        warmup_learning_rate=warmup_learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        gradient_clipping=gradient_clipping,
    )
    described = Phase(
        name=phase,
        epochs=epochs,
        objective=objective,
        optimizer=chosen,
        pruning=pruning,
        seed=seed,
        precision=precision,
        weight_averaging=weight_averaging,
        weight_perturbation=weight_perturbation,
        perturbation_warmup=perturbation_warmup,
        quantize=quantize,
        select=select,
        patience=patience,
        validation_attack=validation_attack,
        attacks=AttackSettings(
            warm_start=warm_start, num_steps_ramp=num_steps_ramp
        ),
        attacked_input=attacked_input,
        settings=settings or {},
    )
    if epochs:
        check_perturbed(described)
    return train_phase(
        described,
        network,
        train,
        validation=validation,
        folder=folder,
        overwrite=overwrite,
        execution=Execution(
            strategy=strategy,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            progress=progress,
            callbacks=callbacks,
        ),
    )


def train_phase(
    phase: Phase,
    network: keras.Model | Callable[[], keras.Model],
    train: Any,
    *,
    validation: Any = None,
    folder: str | os.PathLike | None = None,
    overwrite: bool = False,
    execution: Execution | None = None,
    history: list[dict[str, float]] | None = None,
) -> keras.Model:
    """Trains a network for a phase; see `run_phase`.

    Args:
        phase: The phase.
        network: As for `run_phase`.
        train: As for `run_phase`.
        validation: As for `run_phase`, or a function that returns it.
        folder: As for `run_phase`.
        overwrite: As for `run_phase`.
        execution: How it is computed and shown.
        history: A list that gets the figures of each epoch, those of epochs
            before the phase was resumed included.

    Returns:
        The trained network, in float32.
    """
    check_validation(validation, train, phase.select, phase.patience)
    if history is None:
        history = []
    execution = execution or Execution()
    workers = Workers(make_strategy(execution.strategy))
    if not workers.is_chief:
        execution = dataclasses.replace(execution, progress="none")
    batches = held_out = None
    # What can be checked is, before the folder holds anything.
    if phase.epochs and not callable(train):
        train = batches = as_train_data(train, phase.seed)
        execution.check_steps(batches.steps_per_epoch)
        if validation is not None and not callable(validation):
            validation = held_out = as_validation_data(validation, batches)
    if isinstance(network, keras.Layer):
        _check_network(phase, network, batches, held_out)
    kept, record = None, _record_of(phase, network, train, validation)
    if folder is not None:
        kept = PhaseCheckpoints(workers.own_folder(folder), phase.name)
        if overwrite:
            kept.remove()
        kept.check()
        kept.check_settings(record)
        workers.share(kept.results)
        if kept.is_finished:
            history[:] = kept.read_history()
            return kept.load_network()
    checked = isinstance(network, keras.Layer) and not (
        callable(train) or callable(validation)
    )
    if not isinstance(network, keras.Layer):
        network = network()
    if phase.epochs and batches is None:
        batches = as_train_data(train(), phase.seed)
    if batches is not None and held_out is None and validation is not None:
        held_out = as_validation_data(
            validation() if callable(validation) else validation, batches
        )
    if not checked:
        _check_network(phase, network, batches, held_out)
    name_activations(network)
    if kept is not None:
        check_names(network)
    if batches is not None:
        _compare(workers, phase, network, batches, held_out)
        network = with_precision(network, phase.precision)
    if kept is not None:
        kept.begin(record)
    if batches is not None:
        training = PhaseTraining(
            phase, batches, kept, execution, history, held_out
        )
        with workers.watching():
            network = training.run(network)
    else:
        phase.set_phase(network)
    if phase.prunes:
        phase.pruning.finish(network)
    network = with_precision(network, "float32")
    if kept is not None:
        if workers.is_chief:
            kept.finish(network)
        # Those of others are read by phases that start from them.
        workers.share([kept.network])
    return network


def _compare(
    workers: Workers,
    phase: Phase,
    network: keras.Model,
    batches: TrainData,
    held_out: TrainData | None,
) -> None:
    """Raises `InputError` on all workers if one would train otherwise."""
    if workers.count == 1:
        return
    facts = {
        f"the {phase.name} phase's {name}": str(value)
        for name, value in files.as_json(phase.record()).items()
    }
    workers.check_equal(
        {
            **facts,
            "its network": fingerprint(network),
            "its images": digest_of(batches),
            "its images to validate": ""
            if held_out is None
            else digest_of(held_out),
        }
    )


def _record_of(
    phase: Phase, network: Any, train: Any, validation: Any
) -> dict[str, Any]:
    """Returns the record of a training, network and data included.

    Those that a function would make are not made for it.
    """
    record = phase.record()
    if phase.name != "pretrain" and isinstance(network, keras.Layer):
        record.setdefault("source", fingerprint(network))
    if isinstance(train, data.Pipeline):
        record.setdefault("batch_size", train.batch_size)
        record.setdefault("num_examples", train.num_examples)
        record.setdefault("num_extra", train.num_extra)
        record.setdefault("extra_fraction", train.extra_fraction)
    if isinstance(validation, data.Pipeline):
        record.setdefault("validation_examples", validation.num_examples)
    return record


def _check_network(
    phase: Phase,
    network: keras.Model,
    batches: TrainData | None,
    held_out: TrainData | None,
) -> None:
    """Raises `InputError` if the phase cannot train a network.

    Args:
        phase: The phase.
        network: The network.
        batches: What it is trained on, as far as that is known.
        held_out: What it is validated on, likewise.
    """
    check_network(network)
    if not network.variables:
        raise InputError(
            f"`network` {network.name!r} is not built: begin it with "
            "keras.Input(shape), or call it once on a batch"
        )
    # As it is returned: refused now if it can't be, not after training.
    with_precision(network, "float32")
    takes = NetworkInputs(network, phase.attacked_input)
    check_arguments(network, phase.objective, None, phase.seed, None, takes)
    masked = find_masked(network)
    if phase.name != "pretrain" and not masked:
        raise InputError(
            f"`network` has no masks, and the {phase.name} phase needs "
            "them: pass what hydra_tf.start_pruning returns"
        )
    if phase.follows_course:
        phase.pruning.check_masked(network)
    learns = any(layer.rate is not None for layer in masked)
    if phase.name == "prune" and phase.pruning is None and learns:
        raise InputError(
            "`pruning` must be given for a network that learns its "
            "densities: it holds their target"
        )
    for name, each in (("train", batches), ("validation", held_out)):
        if each is not None:
            check_train_data(each, network, phase.objective, name, takes)
