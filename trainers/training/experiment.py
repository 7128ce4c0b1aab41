"""A run from its flags to its folder: phases, figures, exports."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import tempfile
import warnings
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from flags import pruning_flags
from hydra_tf import data
from hydra_tf import export
from hydra_tf import files
from hydra_tf import training
from hydra_tf.errors import InputError
from hydra_tf.objectives import AdversarialObjective
from hydra_tf.progress import say
from hydra_tf.pruning import Pruning
from hydra_tf.registry.objectives import NUM_STEPS
from hydra_tf.training.arguments import check_trains
from trainers.evaluation import measuring
from trainers.model_card import card as model_card
from trainers.plots import densities as density_plot
from trainers.run import datasets
from trainers.run import environment
from trainers.run import networks
from trainers.run import records
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder
from trainers.terminal import startup
from trainers.terminal.messages import in_flags
from trainers.training.settings import Settings
from trainers.training.tensorboard import PhaseEvents


class Experiment:
    """Runs phases and keeps what comes of them in the run's folder.

    Every step looks first whether its result is there already, so that the
    same calls made again resume where they were stopped.

    Args:
        settings: What the flags say.
        phase: The only phase of the run; `None` if it has several.
    """

    def __init__(self, settings: Settings, phase: str | None = None):
        self.settings = settings
        self.info = data.info(settings.data.dataset)
        self.source_path = self._find_source(phase)
        self.strategy = training.make_strategy(settings.execution.strategy)
        self._check_batch_size()
        self.folder = RunFolder(settings.run.output_dir)
        self.worked = False
        self._epochs: dict[str, int] = {}
        self._first_network: keras.Model | None = None

    @functools.cached_property
    def train_data(self) -> data.Pipeline:
        """The training images."""
        say(f"reading {self.settings.data.dataset}")
        return self.settings.data.train(
            self.settings.seed,
            drop_remainder=self.strategy.num_replicas_in_sync > 1,
        )

    @functools.cached_property
    def test_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The test images that are evaluated, and their classes."""
        return datasets.test_arrays(
            self.settings.data.dataset,
            self.settings.data.data_dir,
            self.settings.num_examples,
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
        self._epochs = dict(epochs)
        phases = [self._phase(name, count) for name, count in epochs.items()]
        first = next(iter(epochs))
        if (
            self.settings.run.overwrite
            or not self.folder.finished(first).is_file()
        ):
            self._first_network = self._make_first_network()
            # Before hours of training, not after them.
            if any(epochs.values()):
                check_trains(self._first_network)
            self._check_prunable(self._first_network, first, epochs, compared)
        self.folder.open(overwrite=self.settings.run.overwrite)
        for phase in phases:
            self.folder.phase(phase.name).check_settings(phase.record())
        files.write_text(
            self.folder.flagfile, as_flagfile(environment.command())
        )

    def _check_prunable(
        self,
        network: keras.Model,
        first: str,
        epochs: Mapping[str, int],
        compared: Sequence[str],
    ) -> None:
        """Checks that a network has the masks it needs, or can get them."""
        if first == "finetune" and not networks.is_masked(network):
            raise InputError(
                f"--source={self.source_path} holds a network without masks; "
                f"prune it first with `{startup.program('prune')}`, or train "
                f"all its weights with `{startup.program('pretrain')}`"
            )
        if "prune" not in epochs:
            return
        each = [self.pruning(name) for name in (None, *compared)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for pruning in {one.learns_densities: one for one in each}.values():
                pruning.check(network)
        notes = (str(w.message) for w in caught if w.category is UserWarning)
        for note in dict.fromkeys(notes):
            say(in_flags(note))

    def first_network(self) -> keras.Model:
        """Returns the network that the run starts from.

        It is that of `--source`, or of `--model` with fresh weights.

        Raises:
            InputError: If there is none, or it cannot be trained.
        """
        network, self._first_network = self._first_network, None
        return self._make_first_network() if network is None else network

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
        start = {"model": self.settings.model.model}
        if origin is not None:
            start = {"source": origin}
        settings = self._phase(phase, epochs, method, start)

        def begin() -> keras.Model:
            self.worked = True
            self._announce(phase, epochs, self.pruning(method))
            return make_network()

        callbacks = []
        if epochs:
            callbacks.append(self._events(settings, folder))
        return training.train_phase(
            settings,
            begin,
            lambda: self.train_data,
            folder=folder.path,
            execution=dataclasses.replace(
                self.settings.execution,
                strategy=self.strategy,
                callbacks=callbacks,
            ),
        )

    def measure(
        self,
        phase: str,
        network: keras.Model,
        *,
        folder: RunFolder | None = None,
    ) -> None:
        """Evaluates a phase's network, as it would be exported."""
        folder = folder or self.folder
        images, labels = self.test_arrays
        if records.is_measured(self.settings, phase, len(labels), folder):
            return
        self.worked = True
        result = measuring.measure(
            network,
            images,
            labels,
            self.settings.evaluation,
            folder=folder,
            phase=phase,
            checkpoint=source.fingerprint(folder.finished(phase)),
            progress=self.settings.execution.progress,
        )
        say(f"  {result.summary()}")
        folder.merge_metrics(
            records.measured(self.settings, phase, result, folder)
        )

    def finish(
        self,
        phase: str,
        network: keras.Model,
        *,
        method: str | None = None,
        folder: RunFolder | None = None,
    ) -> None:
        """Exports a network and completes the folder's record.

        Args:
            phase: The last phase, whose network it is.
            network: The network.
            method: Pruning method, if not that of the flags.
            folder: Folder to write to, if not the run's.
        """
        folder = folder or self.folder
        if folder is not self.folder:
            files.write_text(
                folder.flagfile,
                as_flagfile(
                    environment.command(),
                    **pruning_flags.as_flags(vars(self.pruning(method))),
                    compare=[],
                    output_dir=str(folder.path),
                ),
            )
        digest = source.fingerprint(folder.finished(phase))
        artifacts = folder.read_metrics().get("artifacts", {})
        if (
            not self.worked
            and files.recover_directory(folder.saved_model)
            and artifacts.get("exported_checkpoint") == digest
            and folder.readme.is_file()
            and folder.density_plot.is_file() == (phase != "pretrain")
        ):
            return
        self.worked = True
        exported = export.export_saved_model(network, folder.saved_model)
        sparsity = networks.sparsity(network)
        choice = self.pruning(method)
        if "prune" in self._epochs and choice.learns_densities:
            sparsity["learned"] = records.compression(
                choice, sparsity, folder.phase("prune").read_history()
            )
        plots = {}
        if phase != "pretrain":
            plots["densities"] = self._plot_densities(folder, sparsity, method)
        metrics = folder.merge_metrics(
            {
                "run": records.run(
                    self.settings,
                    phase,
                    self._epochs,
                    self._choice(phase, method, sparsity["density"]),
                    self.strategy.num_replicas_in_sync,
                    folder,
                ),
                "sparsity": sparsity,
                "artifacts": {
                    "saved_model": {
                        **exported.to_dict(),
                        "path": folder.saved_model.name,
                    },
                    **plots,
                    "checkpoints": folder.describe_checkpoints(),
                    "exported_checkpoint": digest,
                },
                "environment": environment.describe(),
                "dataset": records.dataset(
                    self.info,
                    self.train_data,
                    self.settings.data.fraction,
                    len(self.test_arrays[1]),
                ),
            }
        )
        model_card.write(folder.path, metrics)

    def unpruned_size(self, network: keras.Model) -> dict[str, Any]:
        """Returns the size that a network has as a SavedModel."""
        known = self.folder.read_metrics().get("artifacts", {})
        if "unpruned" not in known:
            with tempfile.TemporaryDirectory() as temporary:
                exported = export.export_saved_model(
                    network, pathlib.Path(temporary) / "saved_model"
                )
            known["unpruned"] = {
                "bytes": exported.bytes,
                "compressed_bytes": exported.compressed_bytes,
            }
            self.folder.merge_metrics({"artifacts": known})
        return known["unpruned"]

    def _plot_densities(
        self, folder: RunFolder, sparsity: dict[str, Any], method: str | None
    ) -> dict[str, Any]:
        """Draws what each layer keeps, and returns the record of that."""
        settings = self.pruning(method)
        model = self.settings.model.model or "network"
        words = [f"{model} on {self.info.name}"]
        target = None
        if list(self._epochs) != ["finetune"]:
            words.append(settings.method)
            # A file has each layer's density, and the target no part.
            if settings.density_is_target:
                target = settings.density
        density_plot.write(
            folder.density_plot,
            sparsity,
            target,
            ", ".join(words),
        )
        return {
            "path": folder.density_plot.name,
            "bytes": folder.density_plot.stat().st_size,
        }

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
        return training.Phase(
            name=name,
            epochs=epochs,
            objective=settings.objective_of(name, epochs),
            optimizer=settings.optimizers[name],
            pruning=None if name == "pretrain" else self.pruning(method),
            seed=settings.seed,
            precision=settings.model.precision,
            settings=settings.record(name, epochs) | dict(start or {}),
        )

    def _events(self, phase: training.Phase, folder: RunFolder) -> PhaseEvents:
        """Returns what shows a phase in TensorBoard."""
        count = self.settings.run.tensorboard_images
        images, labels = self.test_arrays
        return PhaseEvents(
            folder.events / phase.name,
            images[:count],
            labels[:count],
            self._attack(),
            phase.seed,
            densities_change=phase.learns_densities or phase.multistep,
        )

    def _attack(self) -> dict[str, Any]:
        """Returns the attack of training, or one within its radius."""
        objective, attack = self.settings.objective, self.settings.attack
        step_size, num_steps = attack["epsilon"] / 4, NUM_STEPS.default
        if isinstance(objective, AdversarialObjective):
            step_size, num_steps = objective.step_size, objective.num_steps
        return {
            "epsilon": attack["epsilon"],
            "threat_model": attack["threat_model"],
            "step_size": step_size,
            "num_steps": num_steps,
        }

    def _make_first_network(self) -> keras.Model:
        return source.load_or_create(
            self.source_path,
            self.settings.model.model,
            self.info,
            self.settings.seed,
            self.settings.bounds_needed_by,
        )

    def _find_source(self, phase: str | None) -> pathlib.Path | None:
        """Returns the file of `--source`, if given."""
        name = self.settings.model.source
        if not name:
            return None
        output = pathlib.Path(self.settings.run.output_dir).resolve()
        # A folder may take in one phase after the other.
        same = pathlib.Path(name).expanduser().resolve() == output
        path = source.find(name, before=phase if same else None)
        if self.settings.run.overwrite and output in path.resolve().parents:
            raise InputError(
                f"--overwrite would remove --source={name}; name another "
                "--output_dir"
            )
        return path

    def _announce(self, phase: str, epochs: int, pruning: Pruning) -> None:
        settings = self.settings
        if not epochs:
            text = f"{phase}: nothing to train"
        else:
            text = (
                f"{phase}: {epochs} epochs of {settings.objective_entry.name} "
                f"on {self.train_data.num_examples} images of "
                f"{settings.data.dataset}"
            )
        # What is finetuned alone was chosen where it starts from.
        if phase != "pretrain" and list(self._epochs) != ["finetune"]:
            text += f" ({pruning.method}, density {pruning.density:g})"
        say(text)

    def _check_batch_size(self) -> None:
        replicas = self.strategy.num_replicas_in_sync
        batch_size = self.settings.data.batch_size
        if batch_size % replicas:
            raise InputError(
                f"--batch_size={batch_size} must be a multiple of {replicas}, "
                "the number of devices"
            )

    def _choice(
        self, phase: str, method: str | None, density: float
    ) -> dict[str, Any]:
        """Returns how the weights were chosen, for `metrics.json`."""
        if list(self._epochs) == ["finetune"]:
            # That was decided where it starts from.
            return {"density": density}
        if phase == "pretrain":
            return {}
        return pruning_flags.as_flags(self.pruning(method).in_use())
