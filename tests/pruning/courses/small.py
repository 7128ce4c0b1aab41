"""A small network, and its courses."""

from __future__ import annotations

import keras

import hydra_tf as ht
from hydra_tf.pruning.courses import Course


def network() -> keras.Model:
    """Returns a network of two layers, the same every time."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.Conv2D(4, 3, activation="relu", name="next"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="logits"),
        ]
    )


def course(
    *,
    epochs: int = 10,
    steps_per_epoch: int = 4,
    plain: keras.Model | None = None,
    **settings,
) -> Course:
    """Returns the course of a masked copy, not begun."""
    pruning = ht.Pruning(**{"method": "feedback", "density": 0.25, **settings})
    return pruning.course(
        pruning.start(network() if plain is None else plain, epochs=epochs),
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
    )


def kept(course: Course) -> dict:
    """Returns which weights the layers keep."""
    return {
        name: layer.mask.numpy() > 0
        for name, layer in ht.masked_layers(course.network).items()
    }
