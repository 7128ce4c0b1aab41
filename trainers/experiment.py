"""A run from its flags to its folder: phases, figures, exports."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hydra_tf import data
from hydra_tf import export
from hydra_tf import files
from hydra_tf import models
from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from trainers import certification
from trainers import console
from trainers import environment
from trainers import evaluation
from trainers import methods
from trainers import source
from trainers import startup
from trainers import tables
from trainers.phase import Phase
from trainers.phase import make_strategy
from trainers.phase import train
from trainers.run_folder import RunFolder
from trainers.settings import Settings
from trainers.settings import as_flagfile


class Experiment:
    """Runs phases and keeps what comes of them in the run's folder.

    Every step looks first whether its result is there already, so that the
    same calls made again go on where they were stopped.

    Args:
        settings: What the flags say.
        phase: The only phase of the run; `None` if it has several.
    """

    def __init__(self, settings: Settings, phase: str | None = None):
        self.settings = settings
        self.info = dataset_info(settings.data.dataset)
        if settings.model.model is not None:
            _check_model_name(settings.model.model)
        self.source_path = self._find_source(phase)
        self.strategy = make_strategy(settings.training.strategy)
        self._check_batch_size()
        self.folder = RunFolder(settings.run.output_dir)
        self.folder.open(overwrite=settings.run.overwrite)
        self.worked = False
        self._epochs: dict[str, int] = {}

    @functools.cached_property
    def train_data(self) -> data.Pipeline:
        """The training images."""
        settings = self.settings.data
        console.say(f"reading {settings.dataset}")
        return data.load(
            settings.dataset,
            "train",
            batch_size=settings.batch_size,
            data_dir=settings.data_dir,
            augment=None if settings.augment else False,
            fraction=settings.fraction,
            seed=self.settings.training.seed,
            cache=settings.cache,
            drop_remainder=self.strategy.num_replicas_in_sync > 1,
        )

    @functools.cached_property
    def test_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The test images that are evaluated, and their classes."""
        return test_arrays(
            self.settings.data, self.settings.evaluation.num_examples
        )

    def begin(self, epochs: Mapping[str, int]) -> None:
        """Writes `flags.txt`, unless the folder holds a run of other settings.

        Args:
            epochs: The phases of the run, each with its epochs.

        Raises:
            InputError: If it does.
        """
        self._epochs = dict(epochs)
        for phase, count in epochs.items():
            record = self.settings.record(phase, count, self.settings.pruning)
            self.folder.compare_settings(phase, record)
        files.write_text(
            self.folder.flagfile, as_flagfile(environment.command())
        )

    def create_network(self) -> keras.Model:
        """Returns the network of `--model` with fresh weights.

        Raises:
            InputError: If `--model` was not given.
        """
        name = self.settings.model.model
        if name is None:
            raise InputError(
                "--model is required: a name of hydra_tf.models, or "
                "package.module:function"
            )
        keras.utils.set_random_seed(self.settings.training.seed)
        return models.create(name, self.info.image_shape, self.info.num_classes)

    def load_source(self) -> keras.Model:
        """Returns the network of `--source`.

        Raises:
            InputError: If there is none, or it does not fit.
        """
        if self.source_path is None:
            raise InputError(
                "--source is required: the folder of a run, or a .keras file"
            )
        network = source.load(self.source_path)
        source.check(
            network,
            f"--source={self.source_path}",
            self.info,
            self.settings.model.model,
        )
        return network

    def start_pruning(
        self, network: keras.Model, method: str | None = None
    ) -> keras.Model:
        """Returns the masked twin of a network as pruning begins."""
        batch = next(self.train_data.dataset().as_numpy_iterator())
        return methods.start_pruning(
            network,
            self._pruning(method),
            batch,
            self.settings.training.seed,
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
        pruning_settings = self._pruning(method)
        record = self.settings.record(phase, epochs, pruning_settings)
        if origin is not None:
            record["source"] = origin
        else:
            record["model"] = self.settings.model.model
        folder.check_settings(phase, record)
        if folder.finished(phase).is_file():
            return source.load(folder.finished(phase))
        self.worked = True
        self._announce(phase, epochs, pruning_settings)
        count = self.settings.run.tensorboard_images if epochs else 0
        images, labels = self.test_arrays
        return train(
            Phase(
                name=phase,
                epochs=epochs,
                training=self.settings.of_phase(phase),
                objective=self.settings.objective_of(phase, epochs),
                pruning=None if phase == "pretrain" else pruning_settings,
                precision=self.settings.model.precision,
                progress=self.settings.run.progress,
                images=images[:count],
                labels=labels[:count],
            ),
            make_network(),
            self.train_data,
            folder,
            self.strategy,
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
        history = folder.read_history(phase)
        known = folder.read_metrics()
        wanted = {
            name: evaluation.describe(name, self.settings.evaluation)
            for name in self.settings.evaluation.attacks
        }
        proofs = certification.describe(self.settings.evaluation)
        measured = known.get("phases", {}).get(phase)
        if (
            measured is not None
            and measured["num_examples"] == len(labels)
            and measured["checkpoint"]
            == source.fingerprint(folder.finished(phase))
            and {name: measured["attacks"].get(name) for name in wanted}
            == json.loads(json.dumps(wanted))
            and set(measured["robust_accuracy"]) >= set(wanted)
            and measured.get("certification", {})
            == json.loads(json.dumps(proofs))
        ):
            return
        self.worked = True
        result = evaluation.evaluate(
            stripped(network),
            images,
            labels,
            self.settings.evaluation,
            self.settings.run.progress,
        )
        console.say(f"  {evaluation.summary(result)}")
        folder.merge_metrics(
            {
                "phases": {
                    phase: {
                        "natural_accuracy": result.natural_accuracy,
                        "robust_accuracy": result.robust_accuracy,
                        "attacks": result.attacks,
                        **result.certified_record(),
                        "num_examples": result.num_examples,
                        "epochs": len(history),
                        "learning_rate": self.settings.of_phase(
                            phase
                        ).peak_learning_rate(phase),
                        "seconds": sum(epoch["seconds"] for epoch in history),
                        "evaluation_seconds": result.seconds,
                        "checkpoint": source.fingerprint(
                            folder.finished(phase)
                        ),
                        "history": history,
                    }
                },
                "attacks": result.attacks,
                **(
                    {"certification": result.certification}
                    if result.certification
                    else {}
                ),
            }
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
                    method=method,
                    scores_init=self._pruning(method).scores_init,
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
        ):
            return
        self.worked = True
        exported = export_network(network, folder.saved_model)
        sparsities = sparsity(network)
        metrics = folder.merge_metrics(
            {
                "run": self._run_record(
                    phase, method, folder, sparsities["density"]
                ),
                "sparsity": sparsities,
                "artifacts": {
                    "saved_model": {
                        **exported.to_dict(),
                        "path": folder.saved_model.name,
                    },
                    "checkpoints": folder.describe_checkpoints(),
                    "exported_checkpoint": digest,
                },
                "environment": environment.describe(),
                "dataset": self._dataset_record(),
            }
        )
        export.write_model_card(folder.path, metrics)

    def unpruned_size(self, network: keras.Model) -> dict[str, Any]:
        """Returns the size that a network has as a SavedModel."""
        known = self.folder.read_metrics().get("artifacts", {})
        if "unpruned" not in known:
            with tempfile.TemporaryDirectory() as temporary:
                exported = export_network(
                    network, pathlib.Path(temporary) / "saved_model"
                )
            known["unpruned"] = {
                "bytes": exported.bytes,
                "compressed_bytes": exported.compressed_bytes,
            }
            self.folder.merge_metrics({"artifacts": known})
        return known["unpruned"]

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

    def _announce(self, phase, epochs, pruning_settings) -> None:
        settings = self.settings
        if not epochs:
            text = f"{phase}: nothing to train"
        else:
            text = (
                f"{phase}: {epochs} epochs of {settings.objective.objective} "
                f"on {self.train_data.num_examples} images of "
                f"{settings.data.dataset}"
            )
        if phase != "pretrain":
            text += (
                f" ({pruning_settings.method}, density "
                f"{pruning_settings.density:g})"
            )
        console.say(text)

    def _pruning(self, method: str | None):
        if method is None or method == self.settings.pruning.method:
            return self.settings.pruning
        return self.settings.pruning.with_method(method)

    def _check_batch_size(self) -> None:
        replicas = self.strategy.num_replicas_in_sync
        batch_size = self.settings.data.batch_size
        if batch_size % replicas:
            raise InputError(
                f"--batch_size={batch_size} must be a multiple of {replicas}, "
                "the number of devices"
            )

    def _run_record(
        self,
        phase: str,
        method: str | None,
        folder: RunFolder,
        density: float,
    ) -> dict[str, Any]:
        record = {
            "name": folder.path.resolve().name,
            "command": environment.command(),
            "binary": startup.name(),
            "phase": phase,
            "model": self.settings.model.model,
            "source": self.settings.model.source,
            **self._objective_record(phase),
        }
        if startup.name() == "finetune":
            # How the weights were chosen was settled where it starts from.
            record["density"] = density
        elif phase != "pretrain":
            record |= self._pruning(method).in_use()
        return record | {
            **dataclasses.asdict(self.settings.training),
            "learning_rate": self.settings.of_phase(phase).peak_learning_rate(
                phase
            ),
            "batch_size": self.settings.data.batch_size,
            "precision": self.settings.model.precision,
            "replicas": self.strategy.num_replicas_in_sync,
        }

    def _objective_record(self, phase: str) -> dict[str, Any]:
        """Returns the objective, with the ramps of all the run's phases."""
        record: dict[str, Any] = {}
        for name, epochs in (self._epochs or {phase: 0}).items():
            record |= self.settings.objective_record(name, epochs)
        return record

    def _dataset_record(self) -> dict[str, Any]:
        return {
            "name": self.info.name,
            "image_shape": list(self.info.image_shape),
            "num_classes": self.info.num_classes,
            "fraction": self.settings.data.fraction,
            "num_train": self.train_data.num_examples,
            "num_test": self.info.num_test,
            "num_evaluated": len(self.test_arrays[1]),
            "augmented": self.train_data.augmentation is not None,
        }


def dataset_info(name: str) -> data.DatasetInfo:
    """Returns what is known about `--dataset`."""
    if name not in data.names():
        raise InputError(
            f"--dataset={name} is unknown. {close_matches(name, data.names())}"
        )
    return data.info(name)


def test_arrays(settings, num_examples) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first images of the test split and their classes."""
    return data.load(
        settings.dataset,
        "test",
        batch_size=settings.batch_size,
        data_dir=settings.data_dir,
    ).arrays(num_examples)


def stripped(network: keras.Model) -> keras.Model:
    """Returns the network with its masks made permanent."""
    if methods.is_masked(network):
        return pruning.strip_masks(network)
    return network


def export_network(
    network: keras.Model, path: pathlib.Path
) -> export.SavedModelInfo:
    """Writes a network, masked or not, as a SavedModel."""
    return export.export_saved_model(network, path)


def sparsity(network: keras.Model) -> dict[str, Any]:
    """Returns the sparsity of a network, also of one that has no masks."""
    if not methods.is_masked(network):
        network = methods.masked_where_possible(network)
    return pruning.sparsity_report(network).to_dict()


def _check_model_name(name: str) -> None:
    if ":" not in name and name not in models.names():
        raise InputError(
            f"--model={name} is unknown. {close_matches(name, models.names())} "
            "A network of your own is written package.module:function."
        )


def result_table(rows: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> str:
    """Returns what was measured, a network a row.

    Args:
        rows: Of each network its name, its entry in `phases` and its size.
    """
    attacks = list(
        dict.fromkeys(
            attack
            for _, phase, _ in rows
            for attack in phase["robust_accuracy"]
        )
    )
    proofs = list(
        dict.fromkeys(
            proof
            for _, phase, _ in rows
            for proof in phase.get("certified_accuracy", {})
        )
    )
    header = [
        "network",
        "natural",
        *[f"robust ({attack})" for attack in attacks],
        *[f"certified ({proof})" for proof in proofs],
        "SavedModel",
        "compressed",
    ]
    return tables.table(
        header,
        [
            [
                name,
                tables.percent(phase["natural_accuracy"]),
                *[
                    tables.percent(phase["robust_accuracy"].get(attack))
                    for attack in attacks
                ],
                *[
                    tables.percent(
                        phase.get("certified_accuracy", {}).get(proof)
                    )
                    for proof in proofs
                ],
                tables.size(size.get("bytes")),
                tables.size(size.get("compressed_bytes")),
            ]
            for name, phase, size in rows
        ],
    )
