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
from hydra_tf import pruning as pruning_methods
from hydra_tf.errors import InputError
from hydra_tf.layers.traversal import find_masked
from hydra_tf.objectives import Objective
from hydra_tf.phases import check_phase
from hydra_tf.registry import training as registry
from hydra_tf.training.checkpoints import PhaseCheckpoints
from hydra_tf.training.optimizer_settings import GivenOptimizer
from hydra_tf.training.optimizer_settings import OptimizerSettings
from hydra_tf.training.phase_training import Execution
from hydra_tf.training.phase_training import PhaseTraining
from hydra_tf.training.precision import with_precision
from hydra_tf.training.train_data import as_train_data
from hydra_tf.training.weights import fingerprint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of training: all that determines its result, but for data.

    Args:
        name: `"pretrain"`, `"prune"` or `"finetune"`.
        epochs: Integer >= 0; 0 leaves the weights as they are.
        objective: What is minimised.
        optimizer: Optimiser and learning rates.
        pruning: A `hydra_tf.pruning.Pruning`, where the phase has to know more
            than its network: multi-step pruning, learned densities.
        seed: Integer >= 0.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        settings: Further settings to record by name, such as those of the
            data.

    Raises:
        InputError: If an argument is out of range, or the warm-up is as long
            as the phase.
    """

    name: str
    epochs: int
    objective: Objective
    optimizer: OptimizerSettings | GivenOptimizer = OptimizerSettings()
    pruning: Any = None
    seed: int = 0
    precision: str = "float32"
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_phase(self.name)
        registry.EPOCHS.check(self.epochs)
        registry.SEED.check(self.seed)
        registry.PRECISION.check(self.precision)
        self.optimizer.check(self.name, self.epochs)

    @property
    def multistep(self) -> bool:
        """Whether the phase prunes in rounds, with training between them."""
        return self.prunes and self.pruning.multistep and self.epochs > 0

    @property
    def learns_densities(self) -> bool:
        """Whether the phase itself learns densities, not a round within it."""
        return (
            self.prunes and self.pruning.learns_densities and not self.multistep
        )

    @property
    def prunes(self) -> bool:
        """Whether the phase is one of a pruning method that is known."""
        return self.name == "prune" and self.pruning is not None

    def record(self) -> dict[str, Any]:
        """Returns what determines the result, by name."""
        record: dict[str, Any] = {
            "epochs": self.epochs,
            "seed": self.seed,
            "precision": self.precision,
            **self.optimizer.record(self.name),
        }
        if self.epochs:
            record |= _describe(self.objective)
        if self.prunes:
            record |= self.pruning.in_use()
        return record | dict(self.settings)

    def run(
        self,
        network: keras.Model | Callable[[], keras.Model],
        train: Any,
        *,
        folder: str | os.PathLike | None = None,
        overwrite: bool = False,
        execution: Execution | None = None,
    ) -> keras.Model:
        """Trains a network; see `run_phase`."""
        execution = execution or Execution()
        kept = None
        if folder is not None:
            kept = PhaseCheckpoints(folder, self.name)
            if overwrite:
                kept.remove()
            kept.begin(self._record_of(network, train))
            if kept.is_finished:
                return kept.load_network()
        if not isinstance(network, keras.Layer):
            network = network()
        self._check_network(network)
        if self.epochs:
            batches = as_train_data(
                train() if callable(train) else train, self.seed
            )
            network = PhaseTraining(self, batches, kept, execution).run(network)
        else:
            self.set_phase(network)
        if self.prunes:
            self.pruning.finish(network)
        network = with_precision(network, "float32")
        if kept is not None:
            kept.finish(network)
        return network

    def set_phase(self, network: keras.Model) -> None:
        """Tells masked layers which of their variables train."""
        if not find_masked(network) or (
            # Its masks stay for whoever prunes or finetunes it next.
            self.name == "pretrain" and not self.epochs
        ):
            return
        pruning_methods.set_phase(
            network,
            # Rounds train the weights that are left, as finetuning does.
            "finetune" if self.multistep else self.name,
            train_normalization=getattr(
                self.pruning, "train_normalization", True
            ),
        )

    def _record_of(self, network: Any, train: Any) -> dict[str, Any]:
        """Returns the record of a training, network and data included.

        Those that a function would make are not made for it.
        """
        record = self.record()
        if self.name != "pretrain" and isinstance(network, keras.Layer):
            record.setdefault("source", fingerprint(network))
        if isinstance(train, data.Pipeline):
            record.setdefault("batch_size", train.batch_size)
            record.setdefault("num_examples", train.num_examples)
        return record

    def _check_network(self, network: keras.Model) -> None:
        """Raises `InputError` if the phase cannot train a network."""
        masked = find_masked(network)
        if self.name != "pretrain" and not masked:
            raise InputError(
                f"`network` has no masks, and the {self.name} phase needs "
                "them: pass what hydra_tf.start_pruning returns"
            )
        learns = any(layer.rate is not None for layer in masked)
        if self.name == "prune" and self.pruning is None and learns:
            raise InputError(
                "`pruning` must be given for a network that learns its "
                "densities: it holds their target"
            )


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
    seed: int = 0,
    precision: str = "float32",
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

    A phase with learned densities ends with the weights of its best epoch and
    whole counts within the target.

    Args:
        network: Keras model from images to logits, which is trained in place
            unless precision or strategy need a copy; for `"prune"` and
            `"finetune"` with masks, as `hydra_tf.start_pruning` returns it. Or
            a function that returns it, called if the phase is not finished.
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
        train: A `hydra_tf.data.Pipeline`, a `tf.data.Dataset` of batches, or a
            pair of arrays: images in [0, 1] and integer labels. Or a function
            that returns it.
        objective: What is minimised, such as `hydra_tf.objectives.TRADES()`.
        epochs: Integer >= 0; 0 leaves the weights as they are.
        folder: Folder that gets `checkpoints/<phase>.*`.
        pruning: A `hydra_tf.pruning.Pruning`; needed in the prune phase for
            learned densities and multi-step pruning alone.
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`; or a Keras optimiser, which
            has its own settings.
        learning_rate: Float > 0, the peak. By default the recipe's: 0.1 with
            SGD (0.01 to finetune), else 0.001 (0.0001).
        lr_schedule: `"cosine"`, `"step"` or `"constant"`.
        warmup_epochs: Integer >= 0, epochs before the schedule begins.
        warmup_learning_rate: Float > 0, by default a tenth of the peak.
        momentum: Float in [0, 1].
        weight_decay: Float >= 0.
        seed: Integer >= 0 from which all random numbers of the phase follow.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.
        strategy: `"auto"`, `"none"`, `"mirrored"` or a
            `tf.distribute.Strategy`.
        steps_per_execution: Integer >= 1, steps per call into TensorFlow.
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
            phase begun with other settings.
        DivergedError: If the loss or a weight is not finite.

    Example:
        ```python
        network = ht.training.run_phase(
            network, "pretrain", train, ht.objectives.TRADES(), epochs=20
        )
        ```
    """
    chosen: OptimizerSettings | GivenOptimizer
    if isinstance(optimizer, keras.Optimizer):
        chosen = GivenOptimizer(optimizer)
    else:
        chosen = OptimizerSettings(
            optimizer=optimizer,
            learning_rate=learning_rate,
            lr_schedule=lr_schedule,
            warmup_epochs=warmup_epochs,
            warmup_learning_rate=warmup_learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
        )
    return Phase(
        name=phase,
        epochs=epochs,
        objective=objective,
        optimizer=chosen,
        pruning=pruning,
        seed=seed,
        precision=precision,
        settings=settings or {},
    ).run(
        network,
        train,
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


def _describe(objective: Objective) -> dict[str, Any]:
    """Returns an objective's class and settings by name."""
    config: dict[str, Any] = getattr(objective, "get_config", dict)()
    return {"objective": type(objective).__name__} | {
        name: keras.saving.serialize_keras_object(value)
        for name, value in config.items()
    }
