"""Random networks, boxes and points, and what points show of bounds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

import hydra_tf as ht

METHODS = ("ibp", "crown_ibp", "crown", "symbolic")


def bounds_by(method: str, model: Any, lower: Any, upper: Any, spec=None):
    """Returns lower and upper bounds on the outputs by a method."""
    if method == "ibp":
        return ht.bounds.interval(model, lower, upper, spec)
    if method == "symbolic":
        return ht.bounds.symbolic_interval(model, lower, upper, spec)
    intermediate = "ibp" if method == "crown_ibp" else "crown"
    return ht.bounds.crown(model, lower, upper, spec, intermediate)


def set_random_weights(model: Any, seed: int = 0) -> Any:
    """Returns the model with weights that are neither zero nor one."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(random.uniform(0.3, 2, weight.shape))
        elif weight.dtype == "float32" and weight.name != "density":
            weight.assign(random.normal(0, 0.6, weight.shape))
    return model


def residual_network(seed: int = 0, *, small: bool = False) -> keras.Model:
    """Returns a network for boxes of images, its weights random.

    Args:
        seed: Of the weights.
        small: Whether to leave out all after the residual block.
    """
    inputs = keras.Input((6, 5, 2))
    x = layers.ZeroPadding2D(((1, 0), (1, 1)))(inputs)
    x = layers.Conv2D(4, 3, (1, 2), groups=2, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    y = layers.Conv2D(4, 3, padding="same", name="inner")(x)
    y = layers.LeakyReLU(negative_slope=0.1)(y)
    y = layers.Conv2D(4, 2, padding="same", dilation_rate=2)(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    if small:
        x = layers.Dense(4)(layers.Flatten()(x))
        return set_random_weights(keras.Model(inputs, x), seed)
    x = layers.Concatenate()([x, layers.Conv2D(2, 1, activation="tanh")(x)])
    x = layers.AveragePooling2D(2, 1)(x)
    x = layers.Conv2D(3, 2, activation="relu")(x)
    x = layers.Dense(4)(layers.Flatten()(x))
    return set_random_weights(keras.Model(inputs, x), seed)


def two_sided_network() -> keras.Model:
    """Returns `relu(x) + relu(-x)`, for bounds by hand."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(2, activation="relu", use_bias=False),
            layers.Dense(1, use_bias=False),
        ]
    )
    model.set_weights([np.array([[1.0, -1.0]]), np.array([[1.0], [1.0]])])
    return model


def random_box(model: Any, batch: int = 2, radius: float = 0.2, seed: int = 1):
    """Returns the ends of random boxes of a model's input."""
    random = np.random.default_rng(seed)
    center = random.uniform(-1, 1, (batch, *model.input_shape[1:]))
    widths = radius * random.random(center.shape)
    return tuple(
        end.astype(np.float32) for end in (center - widths, center + widths)
    )


def assert_sound(model: Any, radius: float = 0.2, num_points: int = 64) -> None:
    """Checks that points of random boxes are inside every method's bounds."""
    lower, upper = random_box(model, radius=radius)
    random = np.random.default_rng(2)
    share = random.random((num_points, *lower.shape))
    share[::2] = np.round(share[::2])
    points = (lower + share * (upper - lower)).astype(np.float32)
    outputs = np.asarray(model(points.reshape(-1, *lower.shape[1:])))
    outputs = outputs.reshape(num_points, len(lower), *outputs.shape[1:])
    for method in METHODS:
        low, high = (
            end.numpy() for end in bounds_by(method, model, lower, upper)
        )
        slack = 1e-5 * max(1, np.abs(low).max(), np.abs(high).max())
        assert np.all(low - slack <= outputs), method
        assert np.all(outputs <= high + slack), method
