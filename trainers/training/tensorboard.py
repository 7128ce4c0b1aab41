"""What TensorBoard shows of a phase: figures and images, epoch by epoch."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import attacks
from hydra_tf import pruning

# Thumbnails below this height are hard to see.
_MIN_HEIGHT = 64


class PhaseEvents(keras.callbacks.Callback):
    """Writes figures and adversarial examples after every epoch.

    An image shows, from left to right, a test image, what the attack makes of
    it, and the difference, stretched so that epsilon is black or white.

    Args:
        folder: Where the event files go.
        images: Test images to attack, perhaps none.
        labels: Their classes.
        attack: Arguments of `hydra_tf.attacks.pgd`, by name.
        seed: Seed of its random start.
        densities_change: Whether those of the layers are written, too.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        images: np.ndarray,
        labels: np.ndarray,
        attack: Mapping[str, Any],
        seed: int,
        densities_change: bool = False,
    ):
        super().__init__()
        self._folder = folder
        self._images = images
        self._labels = labels
        self._arguments = attack
        self._seed = seed
        self._densities_change = densities_change
        self._writer: Any = None
        self._attack: Any = None

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(str(self._folder))

    def on_epoch_end(self, epoch, logs=None):
        step = epoch + 1
        with self._writer.as_default(step=step):
            for name, value in (logs or {}).items():
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
                )
            )
        return self._attack(images, labels)


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
