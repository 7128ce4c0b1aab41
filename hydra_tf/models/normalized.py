"""Networks that begin with a layer that normalises their images."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError


def normalized(
    network: keras.Model, mean: Sequence[float], deviation: Sequence[float]
) -> keras.Model:
    """Returns a network for images in [0, 1] from one for normalised images.

    Attacks, bounds and radii are those of images in [0, 1]: normalisation is a
    layer, `(image - mean) / deviation`, and no part of the input pipeline.

    Args:
        network: Keras model; call this while its weights are fresh, as those of
            the result are drawn anew.
        mean: Mean of each channel of the images.
        deviation: Standard deviation of each channel, above 0.

    Returns:
        A model with the same layers behind one more, `normalization`.

    Raises:
        InputError: If there is not one mean and one deviation for each channel.

    Example:

    >>> from hydra_tf import models
    >>> plain = models.create("digits_model", (8, 8, 1), 10)
    >>> models.normalized(plain, [0.3], [0.38]).layers[1].name
    'normalization'
    """
    shape = getattr(network, "input_shape", None)
    # Subclassed models have none.
    if not isinstance(shape, tuple) or None in shape[1:]:
        raise InputError(
            "`network` must be a Functional or Sequential model for images of "
            f"one size. Received: {getattr(network, 'name', network)!r} for "
            f"{shape}; or begin it with keras.layers.Normalization"
        )
    for name, values in (("mean", mean), ("deviation", deviation)):
        least = 0.0 if name == "deviation" else float("-inf")
        if len(values) != shape[-1] or not all(
            isinstance(value, numbers.Real) and value > least
            for value in values
        ):
            raise InputError(
                f"`{name}` must hold a number for each of the {shape[-1]} "
                "channels, deviations above 0. Received: "
                f"{name}={tuple(values)}"
            )
    image = keras.Input(shape[1:], name=network.inputs[0].name)
    normalization = keras.layers.Normalization(
        mean=tuple(map(float, mean)),
        variance=tuple(float(value) ** 2 for value in deviation),
        name="normalization",
    )
    if isinstance(network, keras.Sequential):
        layers = keras.models.clone_model(network).layers
        return keras.Sequential(
            [image, normalization, *layers], name=network.name
        )
    x = normalization(image)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda each: x if each is image else each, (args, kwargs)
        )
        return layer(*args, **kwargs)

    # The layers themselves, not a network within a network.
    return keras.models.clone_model(
        network, input_tensors=image, call_function=call
    )
