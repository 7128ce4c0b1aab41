"""What a mistake is made with: small networks, images, a folder."""

from __future__ import annotations

import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht


class Given:
    """The right things that a mistake needs beside the wrong one.

    Attributes:
        folder: An empty folder.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        self.images = rng.random((12, 4, 4, 1), np.float32)
        self.labels = np.arange(12) % 3

    def network(self, classes: int = 3, **last) -> keras.Model:
        """Returns an untrained network for the images."""
        return keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(6, activation="relu", name="first"),
                keras.layers.Dense(classes, name="last", **last),
            ]
        )

    def masked(self, density: float = 0.5) -> keras.Model:
        """Returns a masked copy, its scores initialised."""
        return ht.start_pruning(self.network(), density=density)

    def objective(self) -> ht.objectives.Objective:
        """Returns an objective that takes little time."""
        return ht.objectives.TRADES(epsilon=0.1, num_steps=1)

    def robust(self, network: keras.Model | None = None) -> ht.RobustModel:
        """Returns a compiled model around a network."""
        model = ht.RobustModel(network or self.network(), self.objective())
        model.compile(optimizer=ht.training.SGD(0.1))
        return model

    def dataset(self) -> tf.data.Dataset:
        """Returns the images in batches."""
        pairs = (self.images, self.labels)
        return tf.data.Dataset.from_tensor_slices(pairs).batch(4)


@functools.cache
def areas() -> tuple[str, ...]:
    """Returns the names of the modules that hold tables of mistakes."""
    here = pathlib.Path(__file__).parent
    names = {path.stem for path in here.glob("*.py")}
    return tuple(sorted(names - {"__init__", "given"}))
