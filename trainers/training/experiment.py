"""A run: its data, its networks, and its phases from wherever they stopped."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf import data
from hydra_tf import files
from hydra_tf import training
from hydra_tf.errors import InputError
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.evaluation import chance
from hydra_tf.progress import say
from hydra_tf.pruning import Pruning
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.training.arguments import check_trains
from hydra_tf.training.train_data import digest_of
from trainers.evaluation import measuring
from trainers.run import datasets
from trainers.run import environment
from trainers.run import records
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder
from trainers.training import own_parts
from trainers.training import plotting
from trainers.training import starting
from trainers.training import tensorboard
from trainers.training.settings import Settings


class Experiment:
    """Runs phases and keeps what comes of them in the run's folder.

    Every step looks first whether its result is there already, so that the
    same calls made again resume where they were stopped.

    Args:
        settings: What the flags say.
        phase: The only phase of the run; `None` if it has several.

    Attributes:
        settings: What the flags say.
        info: What is fixed about the data set.
        source_path: The file of `--source`, if given.
        strategy: The devices.
        workers: The processes that train together; one, as a rule.
        folder: The run's folder.
        epochs: The phases of the run, each with its epochs.
        worked: Whether anything was done that was not done before.
    """

    def __init__(self, settings: Settings, phase: str | None = None):
        self.settings = settings
        self.info = settings.data.info
        self.source_path = starting.find_source(settings, phase)
        self.strategy = training.make_strategy(settings.execution.strategy)
        starting.check_batches(
            settings, self.info, self.strategy.num_replicas_in_sync
        )
        self.workers = training.Workers(self.strategy)
        self.folder = RunFolder(
            self.workers.own_folder(settings.run.output_dir)
        )
        self.worked = False
        self.epochs: dict[str, int] = {}
        self._first_network: keras.Model | None = None

    @property
    def title(self) -> str:
        """What plots call the run."""
        return f"{self.settings.model.model or 'network'} on {self.info.name}"

    @property
    def train_data(self) -> data.Pipeline:
        """The training images."""
        return self._train_and_validation[0]

    @property
    def validation_data(self) -> data.Pipeline | None:
        """The images of `--validation_fraction`, if there are any."""
        return self._train_and_validation[1]

    @functools.cached_property
    def _train_and_validation(
        self,
    ) -> tuple[data.Pipeline, data.Pipeline | None]:
        say(f"reading {self.settings.data.dataset}")
        whole = self.settings.data.train(
            self.settings.seed,
            drop_remainder=self.strategy.num_replicas_in_sync > 1,
        )
        fraction = self.settings.validation.fraction
        if not fraction:
            return whole, None
        return data.split_validation(whole, fraction)

    @functools.cached_property
    def test_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The test images that are evaluated, and their classes."""
        return datasets.test_arrays(
            self.settings.data, self.settings.num_examples
        )

    def pruning(self, method: str | None = None) -> Pruning:
        """Returns how a method prunes, by default that of the flags."""
        pruning = self.settings.pruning
        if method is None or method == pruning.method:
            return pruning
        return pruning.with_method(method)

    def begin(
        self, epochs: Mapping[str, int], compared: Sequence[str] = ()
    ) -> None:
        """Takes the folder and writes `flags.txt`.

        Args:
            epochs: The phases of the run, each with its epochs.
            compared: Methods that prune the same network for comparison.

        Raises:
            InputError: If the settings or the network cannot be trained, or
                the folder holds a run of other settings. Then nothing was
                written.
        """
        overwrite = self.settings.run.overwrite
        self.folder.check(overwrite=overwrite)
        for folder in (self.folder, *map(self.folder.comparison, compared)):
            for name in () if overwrite else epochs:
                folder.phase(name).check()
        phases = self.check(epochs, compared)
        if self._first_network is not None:
            self.check_images()
        if self.workers.count > 1:
            self.workers.check_equal(self._compared(phases))
        self.folder.open(overwrite=overwrite)
        for phase in phases:
            self.folder.phase(phase.name).check_settings(phase.record())
        files.write_text(
            self.folder.flagfile, as_flagfile(environment.command())
        )
        for line in self.settings.unread(epochs):
            say(line)

    def _compared(self, phases: Sequence[training.Phase]) -> dict[str, str]:
        """Returns what all workers must have alike, by what it is called."""
        facts = {"the training images": digest_of(self.train_data)}
        if self.source_path is not None:
            facts["--source"] = source.fingerprint(self.source_path)
        for phase in phases:
            for name, value in files.as_json(phase.record()).items():
                facts[f"the {phase.name} phase's {name}"] = str(value)
        return facts

    def check(
        self,
        epochs: Mapping[str, int],
        compared: Sequence[str] = (),
        *,
        network: bool = True,
    ) -> list[training.Phase]:
        """Checks all but the folder before a run begins; writes nothing.

        Args:
            epochs: The phases of the run, each with its epochs.
            compared: Methods that prune the same network for comparison.
            network: Whether the network is made and checked, too.

        Returns:
            The phases as the flags say.

        Raises:
            InputError: As `begin`.
        """
        self.epochs = dict(epochs)
        methods = [self.pruning(name) for name in (None, *compared)]
        phases = [self._phase(name, count) for name, count in epochs.items()]
        first = next(iter(epochs))
        begun = self.folder.phase(first).is_finished
        if network and (self.settings.run.overwrite or not begun):
            self._first_network = self._make_first_network()
            # Before hours of training, not after them.
            starting.check_prunable(
                self._first_network, self.source_path, epochs, methods
            )
            if any(epochs.values()):
                check_trains(self._first_network)
            own_parts.check(
                self._first_network,
                self.info.image_shape,
                self.settings,
                epochs,
            )
        return phases

    def check_images(self) -> None:
        """Reads the images, and checks that they make the epochs asked for.

        Raises:
            InputError: If they do not, or cannot be read.
        """
        steps = self.train_data.steps_per_epoch
        self.settings.execution.check_steps(steps)
        profiled = self.settings.run.profile_steps
        most = steps * max(self.epochs.values(), default=0)
        if profiled and profiled[0] > most:
            raise InputError(
                f"--profile_steps={profiled[0]},{profiled[1]} is after the "
                f"last step: no phase has more than {most}"
            )
        _ = self.test_arrays

    def first_network(self) -> keras.Model:
        """Returns the network that the run starts from.

        It is that of `--source`, or of `--model` with fresh weights.

        Raises:
            InputError: If there is none, or it cannot be trained.
        """
        network, self._first_network = self._first_network, None
        return self._make_first_network() if network is None else network

    def forget_network(self) -> None:
        """Releases the network that was checked; a run that begins keeps it."""
        self._first_network = None

    def _make_first_network(self) -> keras.Model:
        return starting.make_network(
            self.settings, self.epochs, self.source_path, self.info
        )

    def start_pruning(
        self, network: keras.Model, epochs: int, method: str | None = None
    ) -> keras.Model:
        """Returns the masked copy of a network as pruning begins.

        Args:
            network: The network.
            epochs: Epochs of the prune phase.
            method: Pruning method, if not that of the flags.
        """
        pruning = self.pruning(method)
        data = self.train_data.dataset() if pruning.needs_data else None
        with warnings.catch_warnings():
            # Said when the run began.
            warnings.simplefilter("ignore", UserWarning)
            return pruning.start(
                network,
                data,
                seed=self.settings.seed,
                epochs=epochs,
            )

    def run_phase(
        self,
        phase: str,
        make_network: Callable[[], keras.Model],
        epochs: int,
        *,
        method: str | None = None,
        folder: RunFolder | None = None,
        origin: str | None = None,
    ) -> keras.Model:
        """Returns the network after a phase, trained now or before.

        Args:
            phase: Name of the phase.
            make_network: Returns the network that the phase starts from.
            epochs: Number of epochs; 0 keeps the network as it is.
            method: Pruning method, if not that of the flags.
            folder: Folder to keep it in, if not the run's.
            origin: What it starts from, to recognise another start by.
        """
        folder = folder or self.folder
        settings = self.started(phase, epochs, method=method, origin=origin)

        def begin() -> keras.Model:
            self.worked = True
            self._announce(phase, epochs, self.pruning(method))
            return make_network()

        callbacks = []
        if epochs and self.workers.is_chief:
            callbacks += tensorboard.callbacks_of(
                settings, self.settings, folder, *self.test_arrays
            )
        validates = bool(self.settings.validation.fraction)
        network = training.train_phase(
            settings,
            begin,
            lambda: self.train_data,
            validation=(lambda: self.validation_data) if validates else None,
            folder=folder.path,
            execution=dataclasses.replace(
                self.settings.execution,
                strategy=self.strategy,
                callbacks=callbacks,
            ),
        )
        if self.worked and self.workers.is_chief:
            plotting.plot_learning_curves(folder, self.title)
        return network

    def measure(
        self,
        phase: str,
        network: keras.Model,
        *,
        folder: RunFolder | None = None,
    ) -> None:
        """Evaluates a phase's network, as it would be exported.

        The chief does; the other workers go on, and wait for it there.
        """
        if not self.workers.is_chief:
            return
        folder = folder or self.folder
        images, labels = self.test_arrays
        evaluation = self.evaluation_after(phase)
        if records.is_measured(evaluation, phase, len(labels), folder):
            return
        self.worked = True
        result = measuring.measure(
            network,
            measuring.Task(
                images,
                labels,
                evaluation,
                source.fingerprint(folder.finished(phase)),
            ),
            folder=folder,
            phase=phase,
            progress=self.settings.execution.progress,
        )
        measuring.forget(folder, phase)
        say(f"  {result.summary()}")
        tensorboard.write_measured(
            folder.events / phase, result.to_dict(), self.epochs.get(phase, 0)
        )
        folder.merge_metrics(
            records.measured(
                self.settings,
                phase,
                result,
                chance.record(result.to_dict(), labels, self.info.num_classes),
                folder,
            )
        )

    def started(
        self,
        name: str,
        epochs: int,
        *,
        method: str | None = None,
        origin: str | None = None,
    ) -> training.Phase:
        """Returns a phase with what it starts from in its record.

        Args:
            name: Name of the phase.
            epochs: Its epochs.
            method: Pruning method, if not that of the flags.
            origin: What it starts from, if not from `--model`.
        """
        start: dict[str, Any] = {"model": self.settings.model.model}
        if self.settings.model.normalize:
            start["normalize"] = True
        if origin is not None:
            start = {"source": origin}
        return self._phase(name, epochs, method, start)

    def evaluation_after(self, phase: str) -> EvaluationSettings:
        """Returns how a phase's network is measured.

        AutoAttack, the cost of hundreds of passes of PGD, is spared a network
        that is finetuned next.
        """
        evaluation = self.settings.evaluation
        if phase != "prune" or not self.epochs.get("finetune"):
            return evaluation
        attacks = tuple(
            name
            for name in evaluation.attacks
            if not ATTACKS.entry(name).ensemble
        )
        return dataclasses.replace(evaluation, attacks=attacks)

    def _phase(
        self,
        name: str,
        epochs: int,
        method: str | None = None,
        start: Mapping[str, Any] | None = None,
    ) -> training.Phase:
        """Returns a phase as the flags say.

        Args:
            name: Name of the phase.
            epochs: Its epochs.
            method: Pruning method, if not that of the flags.
            start: What it starts from, for its record.
        """
        settings = self.settings
        validation_attack = None
        if settings.validation.fraction:
            validation_attack = training.validation_attack(
                settings.objective,
                settings.evaluation.epsilon,
                settings.evaluation.threat_model,
            )
        return training.Phase(
            name=name,
            epochs=epochs,
            objective=settings.objective_of(name, epochs),
            optimizer=settings.optimizers[name],
            pruning=None if name == "pretrain" else self.pruning(method),
            seed=settings.seed,
            precision=settings.model.precision,
            **settings.weights,
            quantize=settings.quantize if name == "finetune" else "none",
            select=settings.validation.select,
            patience=settings.validation.patience,
            validation_attack=validation_attack,
            attacks=settings.attacks_of(name),
            settings=settings.record(name, epochs) | dict(start or {}),
        )

    def _announce(self, phase: str, epochs: int, pruning: Pruning) -> None:
        settings = self.settings
        if not epochs:
            text = f"{phase}: nothing to train"
        else:
            text = (
                f"{phase}: {epochs} epochs of "
                f"{settings.objective_entry(phase).name} "
                f"on {self.train_data.num_examples} images of "
                f"{settings.data.dataset}"
            )
            if self.validation_data is not None:
                text += f", {len(self.validation_data)} more to validate"
        # What is finetuned alone was chosen where it starts from.
        if phase != "pretrain" and list(self.epochs) != ["finetune"]:
            text += f" ({pruning.method}, density {pruning.density:g})"
        say(text)
