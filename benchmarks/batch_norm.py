"""Statistics of batch normalisation for networks that nobody trained."""

from __future__ import annotations

from typing import Any

import keras


def set_statistics(network: keras.Model, images: Any) -> None:
    """Gives a network's batch normalisation the statistics of images.

    Without them what random weights make vanishes layer by layer, and
    processors are slow at numbers next to nothing.

    Args:
        network: A built network, changed in place.
        images: Array or tensor of shape `(n, height, width, channels)`.
    """
    layers = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    network(images, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
