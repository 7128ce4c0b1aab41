"""What TensorBoard shows of a phase: figures and images, epoch by epoch."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import attacks
from hydra_tf import files
from hydra_tf import pruning
from hydra_tf import training
from hydra_tf.objectives import AdversarialObjective
from hydra_tf.registry.objectives import NUM_STEPS
from trainers.run.folder import RunFolder
from trainers.training.profiling import ProfileSteps
from trainers.training.settings import Settings

# Of the logs of validation.
_PREFIX = "val_"
# Thumbnails below this height are hard to see.
_MIN_HEIGHT = 64


class PhaseEvents(keras.callbacks.Callback):
    """Writes figures and adversarial examples after every epoch.

    Figures of validation are a run of their own, in the sub-folder
    `validation`, as those of Keras' TensorBoard callback: under the same names,
    so that they are drawn with those of training.

    An image shows, from left to right, a test image, what the attack makes of
    it, and the difference, stretched so that epsilon is black or white.

    Args:
        folder: Where the event files go.
        images: Test images to attack, perhaps none.
        labels: Their classes.
        attack: Arguments of `hydra_tf.attacks.pgd`, by name.
        seed: Seed of its random start.
        hparams: What the phase is trained with, by name.
        densities_change: Whether those of the layers are written, too.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        images: np.ndarray,
        labels: np.ndarray,
        attack: Mapping[str, Any],
        seed: int,
        hparams: Mapping[str, Any],
        densities_change: bool = False,
    ):
        super().__init__()
        self._folder = folder
        self._images = images
        self._labels = labels
        self._arguments = attack
        self._seed = seed
        self._hparams = hparams
        self._densities_change = densities_change
        self._writer: Any = None
        self._validation_writer: Any = None
        self._attack: Any = None

    def on_train_begin(self, logs=None):
        from tensorboard.plugins.hparams import api

        self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=0):
            api.hparams(dict(self._hparams))

    def on_epoch_end(self, epoch, logs=None):
        step, logs = epoch + 1, dict(logs or {})
        self._write_validation(
            step,
            {name: logs.pop(name) for name in [*logs] if _validates(name)},
        )
        with self._writer.as_default(step=step):
            for name, value in logs.items():
                # Perhaps of FLOPs; that of weights comes below.
                name = "compression_density" if name == "density" else name
                tf.summary.scalar(name, float(value))
            tf.summary.scalar(
                "learning_rate", float(self.model.optimizer.learning_rate)
            )
            self._write_densities()
            if len(self._images):
                tf.summary.image(
                    "natural, adversarial, difference",
                    self._strips(),
                    max_outputs=len(self._images),
                )
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()
        if self._validation_writer is not None:
            self._validation_writer.close()

    def _write_validation(self, step: int, logs: Mapping[str, Any]) -> None:
        """Writes the figures of validation, if there are any."""
        if not logs:
            return
        if self._validation_writer is None:
            self._validation_writer = tf.summary.create_file_writer(
                str(self._folder / "validation")
            )
        with self._validation_writer.as_default(step=step):
            for name, value in logs.items():
                tf.summary.scalar(name.removeprefix(_PREFIX), float(value))
        self._validation_writer.flush()

    def _write_densities(self) -> None:
        """Writes what is kept, of each layer where that changes."""
        total = _density(self.model.network)
        tf.summary.scalar("density", total)
        if not self._densities_change:
            return
        tf.summary.scalar("density/total", total)
        for name, layer in pruning.masked_layers(self.model.network).items():
            if layer.prunable:
                tf.summary.scalar(f"density/{name}", float(layer.live_density))

    def _strips(self) -> np.ndarray:
        """Returns the images beside their adversarial examples, enlarged."""
        natural = tf.constant(self._images)
        adversarial = self._perturb(natural, tf.constant(self._labels))
        scale = self._arguments["epsilon"]
        if self._arguments["threat_model"] == "l2":
            # The largest change of a pixel says nothing before it is known.
            scale = float(tf.reduce_max(tf.abs(adversarial - natural)))
        change = 0.5 + (adversarial - natural) / max(2 * scale, 1e-6)
        strips = np.concatenate(
            [natural, adversarial, np.clip(change, 0, 1)], axis=2
        )
        times = -(-_MIN_HEIGHT // strips.shape[1])
        return strips.repeat(times, axis=1).repeat(times, axis=2)

    def _perturb(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        if self._attack is None:
            self._attack = tf.function(
                lambda x, y: attacks.pgd(
                    self.model.network,
                    x,
                    y,
                    seed=self._seed,
                    **self._arguments,
                ),
                autograph=False,
            )
        return self._attack(images, labels)


def write_measured(
    folder: pathlib.Path, result: Mapping[str, Any], epochs: int
) -> None:
    """Writes what a phase's network was measured at, beside its epochs.

    Args:
        folder: Where the event files go.
        result: What `EvaluationResult.to_dict` returns.
        epochs: Epochs of the phase.
    """
    figures = {"natural_accuracy": result.get("natural_accuracy")}
    for kind in ("robust_accuracy", "certified_accuracy"):
        for name, value in (result.get(kind) or {}).items():
            figures[f"{kind}/{name}"] = value
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=epochs):
        for name, value in figures.items():
            if isinstance(value, float):
                tf.summary.scalar(f"measured/{name}", value)
    writer.close()


def callbacks_of(
    phase: training.Phase,
    settings: Settings,
    folder: RunFolder,
    images: np.ndarray,
    labels: np.ndarray,
) -> list[keras.callbacks.Callback]:
    """Returns what writes event files of a phase; arguments as `events_of`."""
    found: list[keras.callbacks.Callback] = [
        events_of(phase, settings, folder, images, labels)
    ]
    if settings.run.profile_steps:
        found.append(
            ProfileSteps(
                folder.events / phase.name, *settings.run.profile_steps
            )
        )
    return found


def events_of(
    phase: training.Phase,
    settings: Settings,
    folder: RunFolder,
    images: np.ndarray,
    labels: np.ndarray,
) -> PhaseEvents:
    """Returns what shows a phase in TensorBoard.

    Args:
        phase: The phase.
        settings: What the flags say.
        folder: The folder of the run.
        images: Test images.
        labels: Their classes.
    """
    count = settings.run.tensorboard_images
    return PhaseEvents(
        folder.events / phase.name,
        images[:count],
        labels[:count],
        _attack_of(settings),
        phase.seed,
        _hparams_of(phase),
        densities_change=phase.learns_densities or phase.trains_kernels,
    )


def _hparams_of(phase: training.Phase) -> dict[str, Any]:
    """Returns what determines a phase, in the types that TensorBoard shows."""
    record = files.as_json({"phase": phase.name, **phase.record()})
    return {
        name: value
        if isinstance(value, bool | int | float | str)
        else json.dumps(value)
        for name, value in record.items()
        if value is not None
    }


def _attack_of(settings: Settings) -> dict[str, Any]:
    """Returns the attack of training, or one within its radius."""
    objective, attack = settings.objective, settings.attack
    step_size, num_steps = attack["epsilon"] / 4, NUM_STEPS.default
    if isinstance(objective, AdversarialObjective):
        step_size, num_steps = objective.step_size, objective.steps_at()
    return {
        "epsilon": attack["epsilon"],
        "threat_model": attack["threat_model"],
        "step_size": step_size,
        "num_steps": num_steps,
    }


def _validates(name: str) -> bool:
    return name.startswith(_PREFIX)


def _density(network: keras.Model) -> float:
    """Returns the fraction of the prunable weights that is in use."""
    layers = pruning.masked_layers(network).values()
    weights = sum(int(np.prod(layer.kernel.shape)) for layer in layers)
    if not weights:
        return 1.0
    kept = sum(
        float(layer.expected_density()) * int(np.prod(layer.kernel.shape))
        for layer in layers
    )
    return kept / weights
