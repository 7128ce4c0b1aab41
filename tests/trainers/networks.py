"""Networks that are quickly trained, or not at all."""

from __future__ import annotations

import os

import keras
import numpy as np

from hydra_tf import data


def trained_on_digits(data_dir: str | os.PathLike) -> keras.Model:
    """Returns a small network that knows the digits a little."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    train = data.load("digits", "train", batch_size=64, data_dir=data_dir)
    network.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    network.fit(*train.arrays(), batch_size=64, epochs=4, verbose=0)
    return network


def nearest_mean(data_dir: str | os.PathLike) -> keras.Model:
    """Returns the network that names the class with the nearest mean image."""
    train = data.load("digits", "train", batch_size=64, data_dir=data_dir)
    images, labels = train.arrays()
    means = np.stack([images[labels == k].mean(0).ravel() for k in range(10)])
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    network.set_weights([means.T, -0.5 * np.sum(means**2, axis=1)])
    return network
