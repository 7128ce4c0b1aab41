"""Where the importance scores start."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.layers.masked_layer import MaskedLayer
from hydra_tf.layers.scored_kernel import scaled_scores
from hydra_tf.pruning.naming import prunable_layers

METHODS = (
    "scaled",
    "magnitude",
    "random",
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
    "snip",
)


def init_scores(
    model: keras.Model,
    method: str = "scaled",
    *,
    seed: int | None = None,
    data: tuple[Any, Any] | None = None,
) -> None:
    """Sets the scores of all masked layers of a model.

    | method             | scores                                            |
    |--------------------|---------------------------------------------------|
    | scaled             | `sqrt(6 / fan_in) * w / max|w|`, per layer        |
    | magnitude          | `|w|`                                             |
    | random             | uniform in (0, 1)                                 |
    | kaiming_*          | variance 2 / fan_in                               |
    | xavier_*           | variance 2 / (fan_in + fan_out)                   |
    | snip               | `|w * dL/dw|` of the unpruned network, one batch  |

    Args:
        model: Model with masked layers.
        method: One of the table.
        seed: Integer that makes the random methods reproducible; each layer
            draws from a stream of its own.
        data: For `"snip"`: a batch `(images, labels)`, labels as class indices
            of shape `(batch_size,)`.

    Raises:
        InputError: If the method is unknown, or SNIP gets no data.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3.1
    - [Lee et al., 2019](https://arxiv.org/abs/1810.02340), SNIP
    """
    check_method(method, "method", data)
    layers = list(prunable_layers(model).values())
    if method == "snip":
        scores = _snip(model, layers, *data)  # type: ignore[misc]
    else:
        streams = np.random.SeedSequence(seed).spawn(len(layers))
        scores = [
            _scores(layer, method, int(stream.generate_state(1)[0] >> 1))
            for layer, stream in zip(layers, streams, strict=True)
        ]
    for layer, value in zip(layers, scores, strict=True):
        layer.scores.assign(value)


def check_method(
    method: Any, name: str = "method", data: tuple[Any, Any] | None = None
) -> None:
    """Raises `InputError` unless a score initialisation can be used.

    Args:
        method: Name of the method.
        name: What the caller's argument is called.
        data: The batch for methods that need one.
    """
    if method not in METHODS:
        raise InputError(
            f"`{name}` is not a score initialisation: '{method}'. "
            f"{close_matches(str(method), METHODS)}"
        )
    if method == "snip" and data is None:
        raise InputError("method 'snip' needs one batch: data=(images, labels)")


def _scores(layer: MaskedLayer, method: str, seed: int) -> tf.Tensor:
    kernel = tf.cast(tf.convert_to_tensor(layer.kernel.value), tf.float32)
    if method == "scaled":
        return scaled_scores(kernel, layer.fan_in)
    if method == "magnitude":
        return tf.abs(kernel)
    if method == "random":
        initializer = keras.initializers.RandomUniform(0.0, 1.0, seed=seed)
    elif method == "xavier_uniform":
        initializer = keras.initializers.GlorotUniform(seed=seed)
    elif method == "xavier_normal":
        initializer = keras.initializers.VarianceScaling(
            1.0, "fan_avg", "untruncated_normal", seed=seed
        )
    else:
        # Keras's own takes the fan-in of a convolution, also of a depthwise
        # or transposed one.
        deviation = (2.0 / layer.fan_in) ** 0.5
        if method == "kaiming_normal":
            initializer = keras.initializers.RandomNormal(0, deviation, seed)
        else:
            limit = 3.0**0.5 * deviation
            initializer = keras.initializers.RandomUniform(-limit, limit, seed)
    return initializer(kernel.shape, dtype="float32")


def _snip(
    model: keras.Model, layers: list[Any], images: Any, labels: Any
) -> list[tf.Tensor]:
    phases = [layer.phase for layer in layers]
    try:
        for layer in layers:
            layer.phase = "pretrain"  # density 1, kernels watched
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=False), tf.float32)
            labels = tf.reshape(tf.cast(labels, tf.int32), [-1])
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            )
        kernels = [layer.kernel.value for layer in layers]
        gradients = tape.gradient(
            loss, kernels, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    finally:
        for layer, phase in zip(layers, phases, strict=True):
            layer.phase = phase
    return [
        tf.abs(tf.convert_to_tensor(kernel) * gradient)
        for kernel, gradient in zip(kernels, gradients, strict=True)
    ]
