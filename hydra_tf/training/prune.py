"""The usual course in one call: a trained network becomes a pruned one."""

from __future__ import annotations

import dataclasses
import inspect
import os
from typing import Any
from typing import NamedTuple

import keras

from hydra_tf.errors import check_known
from hydra_tf.objectives import Objective
from hydra_tf.pruning import Pruning
from hydra_tf.pruning import strip_masks
from hydra_tf.registry.methods import METHOD
from hydra_tf.registry.training import OPTIMIZER_NAME
from hydra_tf.registry.training import PATIENCE
from hydra_tf.registry.training import PERTURBATION_WARMUP
from hydra_tf.registry.training import PHASE_EPOCHS
from hydra_tf.registry.training import PHASE_LEARNING_RATES
from hydra_tf.registry.training import PRECISION
from hydra_tf.registry.training import QUANTIZE
from hydra_tf.registry.training import SEED
from hydra_tf.registry.training import SELECT
from hydra_tf.registry.training import WEIGHT_AVERAGING
from hydra_tf.registry.training import WEIGHT_PERTURBATION
from hydra_tf.training.arguments import check_arguments
from hydra_tf.training.arguments import check_network
from hydra_tf.training.attack_settings import AttackSettings
from hydra_tf.training.checkpoints import PhaseCheckpoints
from hydra_tf.training.network_inputs import NetworkInputs
from hydra_tf.training.optimizer_settings import OptimizerSettings
from hydra_tf.training.optimizer_settings import as_optimizer_settings
from hydra_tf.training.phase import Phase
from hydra_tf.training.phase import check_perturbed
from hydra_tf.training.phase_training import Execution
from hydra_tf.training.run_phase import train_phase
from hydra_tf.training.train_data import as_train_data
from hydra_tf.training.train_data import as_validation_data
from hydra_tf.training.train_data import check_train_data
from hydra_tf.training.train_data import check_validation


class Pruned(NamedTuple):
    """What `hydra_tf.prune` returns: `network, history = hydra_tf.prune(...)`.

    Attributes:
        network: A plain Keras model, its pruned weights exactly 0.0.
        history: By phase, `"prune"` and `"finetune"`, what `History.history`
            of Keras' `fit` would be: lists of the figures of each epoch, by
            name. Empty for a phase that trains nothing.
    """

    network: keras.Model
    history: dict[str, dict[str, list[float | None]]]


def prune(
    model: keras.Model,
    train: Any,
    objective: Objective,
    density: float | None = None,
    *,
    method: str = METHOD.default,
    prune_epochs: int = PHASE_EPOCHS["prune"].default,
    finetune_epochs: int = PHASE_EPOCHS["finetune"].default,
    optimizer: str | keras.Optimizer = OPTIMIZER_NAME.default,
    prune_learning_rate: float | None = None,
    finetune_learning_rate: float | None = None,
    seed: int = SEED.default,
    precision: str = PRECISION.default,
    weight_averaging: float = WEIGHT_AVERAGING.default,
    weight_perturbation: float = WEIGHT_PERTURBATION.default,
    perturbation_warmup: int = PERTURBATION_WARMUP.default,
    quantize: str = QUANTIZE.default,
    validation: Any = None,
    select: str = SELECT.default,
    patience: int = PATIENCE.default,
    attacked_input: str | None = None,
    folder: str | os.PathLike | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Pruned:
    """Takes a trained network through pruning and finetuning.

    The course of the pipeline, with its defaults: a masked copy with scores
    and densities by `hydra_tf.start_pruning`, the prune and the finetune phase
    by `hydra_tf.training.run_phase`, both under one objective; then the masks
    become zeros. `"lwm"`, `"random"` and `"snip"` have no prune phase to train;
    in that of a course, such as `"live_paths"`, the weights train.

    Args:
        model: Trained Keras model from images to logits; it is left as it is.
            A network that has to withstand attacks is pretrained for that, by
            `run_phase(network, "pretrain", ...)`.
        train: A `hydra_tf.data.Pipeline`, a `tf.data.Dataset` of batches, or a
            pair of arrays: images in [0, 1] and integer labels.
        objective: What is minimised, such as `hydra_tf.objectives.TRADES()`.
        density: Float in (0, 1], the fraction of the weights (or channels)
            kept; by default 0.1, and N / M with granularity `"N:M"`.
        method: As for `hydra_tf.Pruning`.
        prune_epochs: Integer >= 0, above 0 for methods that train in the prune
            phase.
        finetune_epochs: Integer >= 0.
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`; or a Keras optimiser, which
            has its own settings.
        prune_learning_rate: Float > 0, the peak. By default `learning_rate`,
            else the recipe's, as for `run_phase`.
        finetune_learning_rate: Likewise.
        seed: Integer >= 0 from which all random numbers follow.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        weight_averaging: Float in [0, 1), decay of a moving average of the
            weights that each phase ends with; 0 for none.
        weight_perturbation: Float in [0, 1), relative radius of an adversarial
            perturbation of the weights where they train (AWP); 0 for none.
        perturbation_warmup: Integer >= 0, epochs of each phase before
            perturbations of weights and scores begin.
        quantize: `"none"`, or `"int8"`: quantisation-aware finetuning, as for
            `run_phase`.
        validation: Images and labels that do not train, on which the network is
            measured after every epoch; as for `run_phase`.
        select: `"last"` or `"best"`, the epoch whose weights a phase ends with:
            the best one on `validation`.
        patience: Integer >= 0; above 0 a phase stops early once so many epochs
            in a row were no better on `validation`, as for `run_phase`.
        attacked_input: Name of the images among several inputs of the network,
            as for `hydra_tf.RobustModel`.
        folder: Folder that keeps the state of training after every epoch. The
            same call made again resumes there, with equal results.
        overwrite: Whether to start again in a folder that holds something.
        **settings: Other arguments of `hydra_tf.Pruning` (`granularity`,
            `allocation`, `exclude`, `scores`, ...), of `OptimizerSettings`
            (`learning_rate`, `lr_schedule`, `warmup_epochs`, `momentum`,
            `weight_decay`, ...), of `AttackSettings` (`warm_start`,
            `num_steps_ramp`) and of `Execution` (`progress="auto"` to see it,
            `strategy`, `callbacks`, ...).

    Returns:
        A `Pruned`: the plain pruned network, in float32, and its history.

    Raises:
        InputError: If an argument is wrong or does not fit the network, before
            anything is trained or written; or if the folder holds a course
            begun with other settings.
        DivergedError: If the loss or a weight is not finite.

    Example:
        ```python
        objective = ht.objectives.TRADES(epsilon=2 / 255)
        pruned, history = ht.prune(network, train, objective, density=0.1)
        print(ht.evaluation.evaluate(pruned, images, labels, epsilon=2 / 255))
        ```
    """
    of_pruning, of_optimizer, of_attacks, of_execution = _sorted(
        settings, Pruning, OptimizerSettings, AttackSettings, Execution
    )
    pruning = Pruning(method=method, density=density, **of_pruning)  # type: ignore[arg-type]
    execution = Execution(**of_execution)
    check_network(model)
    takes = NetworkInputs(model, attacked_input)
    check_arguments(model, objective, None, seed, None, takes)
    phases = {}
    for name, epochs, rate in (
        ("prune", prune_epochs, prune_learning_rate),
        ("finetune", finetune_epochs, finetune_learning_rate),
    ):
        PHASE_EPOCHS[name].check(epochs)
        PHASE_LEARNING_RATES[name].check(rate)
        given = of_optimizer if rate is None else {"learning_rate": rate}
        phases[name] = Phase(
            name=name,
            epochs=pruning.epochs(epochs) if name == "prune" else epochs,
            objective=objective,
            optimizer=as_optimizer_settings(
                optimizer, **{**of_optimizer, **given}
            ),
            pruning=pruning,
            seed=seed,
            precision=precision,
            weight_averaging=weight_averaging,
            weight_perturbation=weight_perturbation,
            perturbation_warmup=perturbation_warmup,
            quantize=quantize if name == "finetune" else QUANTIZE.default,
            select=select,
            patience=patience,
            attacks=AttackSettings(**of_attacks),
            attacked_input=attacked_input,
        )
    check_validation(validation, train, select, patience)
    check_perturbed(*phases.values())
    data = as_train_data(train, seed)
    check_train_data(data, model, objective, "train", takes)
    if validation is not None:
        validation = as_validation_data(validation, data)
        check_train_data(validation, model, objective, "validation", takes)
    pruning.check(model)
    if folder is not None:
        for phase in phases.values():
            kept = PhaseCheckpoints(folder, phase.name)
            if overwrite:
                kept.remove()
            kept.check_settings(phase.record())

    network = pruning.start(
        model,
        data.dataset() if pruning.needs_data else None,
        seed=seed,
        epochs=phases["prune"].epochs,
    )
    history: dict[str, list[dict[str, float]]] = {}
    for phase in phases.values():
        history[phase.name] = []
        # Without finetuning, the pruned network is the result.
        if phase.name == "prune" or phase.epochs:
            network = train_phase(
                phase,
                network,
                data,
                validation=validation,
                folder=folder,
                execution=execution,
                history=history[phase.name],
            )
    return Pruned(
        strip_masks(network),
        {name: _as_in_keras(epochs) for name, epochs in history.items()},
    )


def _sorted(settings: dict[str, Any], *kinds: Any) -> list[dict[str, Any]]:
    """Returns the settings that are fields of each of some dataclasses.

    Raises:
        InputError: If one is a field of none.
    """
    fields = [
        {each.name for each in dataclasses.fields(kind)} for kind in kinds
    ]
    own = set(inspect.signature(prune).parameters) - {"settings"}
    check_known(settings, own.union(*fields))
    return [
        {name: value for name, value in settings.items() if name in names}
        for names in fields
    ]


def _as_in_keras(
    epochs: list[dict[str, float]],
) -> dict[str, list[float | None]]:
    """Returns the figures of epochs as lists by name."""
    names = dict.fromkeys(name for figures in epochs for name in figures)
    return {name: [each.get(name) for each in epochs] for name in names}
