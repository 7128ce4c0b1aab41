"""The `fit` of a phase: its model, what is resumed, its callbacks."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from hydra_tf import interrupts
from hydra_tf import progress as progress_lines
from hydra_tf.errors import InputError
from hydra_tf.layers.quantization import fake_quantized
from hydra_tf.pruning.courses import Course
from hydra_tf.registry import own_code
from hydra_tf.registry import training as registry
from hydra_tf.training import prune_phase
from hydra_tf.training.best_weights import BestWeights
from hydra_tf.training.catastrophic_overfitting import CatastrophicOverfitting
from hydra_tf.training.checkpoints import EpochCheckpoint
from hydra_tf.training.checkpoints import PhaseCheckpoints
from hydra_tf.training.checkpoints import restore_state
from hydra_tf.training.early_stopping import EarlyStopping
from hydra_tf.training.epoch_lines import EpochLines
from hydra_tf.training.finite_guard import FiniteGuard
from hydra_tf.training.phase import Phase
from hydra_tf.training.precision import default_precision
from hydra_tf.training.random_layers import seed_random_layers
from hydra_tf.training.robust_model import RobustModel
from hydra_tf.training.shares import batches_of
from hydra_tf.training.strategy import make_strategy
from hydra_tf.training.strategy import replicated
from hydra_tf.training.train_data import TrainData
from hydra_tf.training.train_data import batch_size_of
from hydra_tf.training.validation import validation_attack
from hydra_tf.training.weights import copy_weights
from hydra_tf.training.workers import Workers

_JIT_COMPILE = {"auto": "auto", "on": True, "off": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution:
    """How a phase is computed and shown, which leaves its result as it is.

    Args:
        strategy: A name for `make_strategy`, or a `tf.distribute.Strategy`.
        steps_per_execution: Integer >= 1, training steps per call into
            TensorFlow, a divisor of those of an epoch.
        jit_compile: `"auto"`, `"on"` or `"off"`, whether XLA compiles the step.
        progress: `"none"`, `"epochs"`, `"steps"` or `"auto"`: what is written
            to stdout.
        callbacks: Keras callbacks; their `model` is a `RobustModel`.
    """

    strategy: str | tf.distribute.Strategy | None = "none"
    steps_per_execution: int = 1
    jit_compile: str = "auto"
    progress: str = "none"
    callbacks: Sequence[keras.callbacks.Callback] = ()

    def __post_init__(self) -> None:
        if isinstance(self.strategy, str):
            registry.STRATEGY.check(self.strategy)
        registry.STEPS_PER_EXECUTION.check(self.steps_per_execution)
        registry.JIT_COMPILE.check(self.jit_compile)
        registry.PROGRESS.check(self.progress)
        given = self.callbacks
        each = given if isinstance(given, Sequence) else [None]
        if not all(isinstance(one, keras.callbacks.Callback) for one in each):
            raise InputError(
                "`callbacks` must be a list of keras.callbacks.Callback. "
                f"Received: callbacks={given!r}"
            )

    def check_steps(self, steps: int) -> None:
        """Checks that so many steps are a whole number of calls.

        Keras takes full calls alone: an epoch would have more steps, and the
        last one too few images.

        Args:
            steps: Steps of an epoch.

        Raises:
            InputError: If they are not.
        """
        if steps % self.steps_per_execution:
            below = min(self.steps_per_execution, steps)
            best = next(n for n in range(below, 0, -1) if steps % n == 0)
            raise InputError(
                f"`steps_per_execution`={self.steps_per_execution} must divide "
                f"{steps}, the steps of an epoch; the next below is {best}"
            )


class PhaseTraining:
    """The training of a network for the epochs of a phase.

    Args:
        phase: What to train.
        data: The training images.
        kept: The files of the phase, `None` to keep nothing.
        execution: How it is computed and shown.
        history: An empty list that gets the figures of each epoch.
        validation: The images to validate by, if any.
    """

    def __init__(
        self,
        phase: Phase,
        data: TrainData,
        kept: PhaseCheckpoints | None,
        execution: Execution,
        history: list[dict[str, float]],
        validation: TrainData | None = None,
    ) -> None:
        execution.check_steps(data.steps_per_epoch)
        self._phase = phase
        self._objective = phase.attacks.ramped(phase.objective, phase.epochs)
        self._data = data
        self._kept = kept
        self._execution = execution
        self._validation = validation
        self._history = history
        self._course: Course | None = None
        self._stopping: EarlyStopping | None = None

    def run(self, network: keras.Model) -> keras.Model:
        """Returns the network after all epochs of the phase.

        Args:
            network: The network to start from, in the phase's precision.
        """
        phase = self._phase
        with default_precision(phase.precision):
            strategy = make_strategy(self._execution.strategy)
            self._workers = Workers(strategy)
            with strategy.scope():
                # Variables of the strategy have to be made in its scope.
                trained = replicated(network, strategy)
                phase.set_phase(trained)
                seed_random_layers(trained, phase.seed, phase.name)
                self._course = self._begin_course(trained)
            try:
                with self._rounding(trained):
                    self._train(trained, strategy)
            finally:
                # A network that was stopped may be trained by other means.
                if self._course is not None:
                    self._course.finish()
        if trained is not network:
            copy_weights(trained, network)
            phase.set_phase(network)
        return network

    def _rounding(
        self, network: keras.Model
    ) -> contextlib.AbstractContextManager[None]:
        """Returns what lets a network compute as an integer one, or nothing."""
        if self._phase.quantizes:
            return fake_quantized(network)
        return contextlib.nullcontext()

    def _train(
        self, network: keras.Model, strategy: tf.distribute.Strategy
    ) -> None:
        """Trains a network from the epoch that is kept to the last one."""
        phase = self._phase
        with strategy.scope():
            model = self._model(network)
        best = self._best_weights(model)
        if best is not None and phase.patience:
            self._stopping = EarlyStopping(
                best,
                phase.patience,
                epochs=phase.epochs,
                start_from_epoch=math.ceil(self._objective.full_from_epoch),
            )
        first_epoch = self._resume(model, best)
        if not self._is_over(first_epoch):
            guard = FiniteGuard(phase.name, model.network.weights)
            callbacks = self._callbacks(model, best, guard)
            with self._telling_the_epoch(), guard.watching():
                model.fit(
                    batches_of(
                        self._data,
                        strategy,
                        first_epoch=first_epoch,
                        num_epochs=phase.epochs - first_epoch,
                    ),
                    initial_epoch=first_epoch,
                    epochs=phase.epochs,
                    steps_per_epoch=self._data.steps_per_epoch,
                    # Keras measures by it between the epochs.
                    validation_data=None
                    if self._validation is None
                    else batches_of(self._validation, strategy),
                    validation_steps=None
                    if self._validation is None
                    else self._validation.steps_per_epoch,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
        else:
            # All epochs were done before, but for what Keras does at their end.
            model.optimizer.finalize_variable_values(model.trainable_variables)
        if model.weight_average is not None:
            model.weight_average.take()
        if best is not None:
            best.restore()

    def _begin_course(self, network: keras.Model) -> Course | None:
        """Returns the method's course, its masks and variables made."""
        phase = self._phase
        if not phase.follows_course:
            return None
        course = phase.pruning.course(
            network,
            epochs=phase.epochs,
            steps_per_epoch=self._data.steps_per_epoch,
            seed=phase.seed,
        )
        own_code.call(course.begin)
        return course

    @property
    def _updates_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch, which learning rates follow."""
        return self._data.steps_per_epoch * self._objective.n_repeats

    def _steps_per_call(self) -> int:
        """Returns `steps_per_execution`, or as many as keep updates apart.

        A course renews its masks between calls.
        """
        most = self._execution.steps_per_execution
        if self._course is None:
            return most
        updates, steps = self._course.update_steps, self._data.steps_per_epoch
        return next(
            number
            for number in range(most, 0, -1)
            if steps % number == 0
            and len({math.ceil(each / number) for each in updates})
            == len(updates)
        )

    def _model(self, network: keras.Model) -> RobustModel:
        """Returns the compiled model, its optimiser built."""
        phase = self._phase
        attack = None
        if self._validation is not None:
            attack = phase.validation_attack or validation_attack(
                phase.objective
            )
        model = RobustModel(
            network,
            self._objective,
            attack=attack,
            seed=phase.seed,
            compression=prune_phase.compression_of(phase.pruning)
            if phase.learns_densities
            else None,
            warm_start=batch_size_of(self._data)
            if phase.attacks.warm_start
            else None,
            weight_averaging=phase.weight_averaging,
            perturbation=phase.perturbation,
            attacked_input=phase.attacked_input,
        )
        model.checks_data = False  # `train_phase` has.
        model.compile(
            optimizer=phase.optimizer.make(
                phase.name, phase.epochs, self._updates_per_epoch
            ),
            steps_per_execution=self._steps_per_call(),
            jit_compile=_JIT_COMPILE[self._execution.jit_compile],
        )
        model.optimizer.build(model.trainable_variables)
        return model

    def _best_weights(self, model: RobustModel) -> BestWeights | None:
        """Returns what keeps the best epoch, where it is the one to end with.

        With learned densities that is one that met their target.
        """
        phase = self._phase
        if not phase.selects_best and model.compression_state is None:
            return None
        start = 0
        if self._validation is None:
            # Before that, objectives with a ramp are easier than they will be;
            # validation has the full radius from the beginning.
            start = math.ceil(self._objective.full_from_epoch)
        if phase.multistep:
            start = prune_phase.first_full_epoch(phase.pruning, phase.epochs)
        at_target = None
        if self._course is not None:
            at_target = functools.partial(getattr, self._course, "at_target")
        best = BestWeights(start_from_epoch=start, is_eligible=at_target)
        best.set_model(model)
        return best

    def _resume(self, model: RobustModel, best: BestWeights | None) -> int:
        """Restores what was kept; returns the number of epochs done."""
        self._variables = [
            *model.network.variables,
            *model.optimizer.variables,
        ]
        for state in (
            model.compression_state,
            model.warm_start_state,
            model.carried,
            model.weight_average,
            self._course,
        ):
            if state is not None:
                self._variables += state.variables
        kept = self._kept
        if kept is None or not kept.state.is_file():
            return 0
        first_epoch, further = restore_state(kept.state, self._variables)
        if first_epoch > self._phase.epochs:
            raise InputError(
                f"{kept.state} is the state after {first_epoch} epochs of a "
                f"phase of {self._phase.epochs}; delete it, or pass `overwrite`"
            )
        if best is not None:
            best.set_state(further)
        self._history[:] = [
            each for each in kept.read_history() if each["epoch"] <= first_epoch
        ]
        if self._execution.progress != "none":
            progress_lines.say(
                f"  resuming after epoch {first_epoch} of {self._phase.epochs}"
            )
        return first_epoch

    def _callbacks(
        self,
        model: RobustModel,
        best: BestWeights | None,
        guard: FiniteGuard,
    ) -> list[keras.callbacks.Callback]:
        phase, execution = self._phase, self._execution
        callbacks: list[keras.callbacks.Callback] = []
        if phase.multistep:
            callbacks.append(self._rounds(model))
        callbacks.append(guard)
        if self._course is not None:
            callbacks.append(self._course)
        if best is not None:
            callbacks.append(best)
        if self._stopping is not None:
            callbacks.append(self._stopping)
        callbacks.append(
            EpochCheckpoint(
                self._kept if self._workers.is_chief else None,
                self._variables,
                self._history,
                best,
                self._stopping,
            )
        )
        callbacks.append(
            EpochLines(
                phase.name,
                phase.epochs,
                self._data.steps_per_epoch,
                execution.progress,
                0
                if self._validation is None
                else self._validation.steps_per_epoch,
                stopping=self._stopping,
            )
        )
        callbacks.append(
            CatastrophicOverfitting(
                phase.name, self._history, execution.progress
            )
        )
        return [*callbacks, *execution.callbacks]

    def _is_over(self, epochs: int) -> bool:
        """Whether no epoch is left after so many, or it stopped early."""
        return epochs >= self._phase.epochs or (
            # Perhaps in a process that was killed before it had finished.
            self._stopping is not None
            and self._stopping.stops_after(epochs - 1)
        )

    def _rounds(self, model: RobustModel) -> Any:
        """Returns what prunes a little more at the start of some epochs."""
        phase, steps = self._phase, self._data.steps_per_epoch

        def optimizer(rate: float | None, epochs: int) -> keras.Optimizer:
            of_rounds = phase.optimizer.of_rounds(rate)
            return of_rounds.make(phase.name, epochs, self._updates_per_epoch)

        return prune_phase.rounds_of(
            phase.pruning,
            model,
            self._data.dataset(),
            phase.objective,
            epochs=phase.epochs,
            optimizer=optimizer,
            seed=phase.seed,
            callbacks=lambda: [
                FiniteGuard(phase.name, model.network.weights),
                EpochLines(
                    "  scores",
                    phase.pruning.round_epochs,
                    steps,
                    self._execution.progress,
                ),
            ],
        )

    @contextlib.contextmanager
    def _telling_the_epoch(self) -> Iterator[None]:
        """Adds to an interruption where the phase resumes."""
        try:
            yield
        except interrupts.Interrupted as stop:
            phase, done = self._phase, len(self._history)
            if self._kept is not None:
                left = "finish"
                if not self._is_over(done):
                    left = f"resume at epoch {done + 1} of {phase.epochs} of"
                stop.where = f"run it again to {left} the {phase.name} phase"
            raise
