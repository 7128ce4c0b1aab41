"""Where the importance scores start."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.layers.masked_weight import scaled_scores
from hydra_tf.ops.granularity import STRUCTURED
from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.naming import masked_layers
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

    Where channels are removed, each has one score: the table with the sum of
    `|w|` over the weights of the channel in place of `w`, over all layers that
    share it, and with a fan-in and fan-out of 1; for SNIP, the magnitude of
    the sum of `w * dL/dw`. A channel's weights are those that read it
    (granularity `"channel"`) or make it (`"filter"`).

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
    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3, channels
    - [Lee et al., 2019](https://arxiv.org/abs/1810.02340), SNIP
    """
    check_method(method, "method", data)
    prunable_layers(model)
    connect_channels(model)
    groups = channel_groups(model)
    if method == "snip":
        scores = _snip(model, groups, *data)  # type: ignore[misc]
    else:
        streams = np.random.SeedSequence(seed).spawn(len(groups))
        scores = [
            _scores(group, method, int(stream.generate_state(1)[0] >> 1))
            for group, stream in zip(groups, streams, strict=True)
        ]
    for group, value in zip(groups, scores, strict=True):
        group.leader.scores.assign(value)


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


def _scores(group: ChannelGroup, method: str, seed: int) -> tf.Tensor:
    layer = group.leader
    of_channels = layer.granularity in STRUCTURED
    fan_in = 1 if of_channels else layer.fan_in
    if method in ("scaled", "magnitude"):
        values = group.unit_norms if of_channels else layer.kernel.value
        values = tf.cast(tf.convert_to_tensor(values), tf.float32)
        if method == "scaled":
            return scaled_scores(values, fan_in)
        return tf.abs(values)
    if method == "random":
        initializer = keras.initializers.RandomUniform(0.0, 1.0, seed=seed)
    elif method.startswith("xavier") and not of_channels:
        initializer = keras.initializers.VarianceScaling(
            1.0,
            "fan_avg",
            "uniform" if method == "xavier_uniform" else "untruncated_normal",
            seed=seed,
        )
    else:
        # Keras's own takes the fan-in of a convolution, also of a depthwise
        # or transposed one. Channels have a fan-in and a fan-out of 1.
        scale = 2.0 if method.startswith("kaiming") else 1.0
        deviation = (scale / fan_in) ** 0.5
        if method.endswith("normal"):
            initializer = keras.initializers.RandomNormal(0, deviation, seed)
        else:
            limit = 3.0**0.5 * deviation
            initializer = keras.initializers.RandomUniform(-limit, limit, seed)
    return initializer(layer.scores.shape, dtype="float32")


def _snip(
    model: keras.Model, groups: list[ChannelGroup], images: Any, labels: Any
) -> list[np.ndarray]:
    layers = [layer for group in groups for layer in group.layers.values()]
    everything = masked_layers(model).values()
    phases = [layer.phase for layer in everything]
    try:
        for layer in everything:
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
        for layer, phase in zip(everything, phases, strict=True):
            layer.phase = phase
    products = iter(
        layer.unit_norms(tf.convert_to_tensor(kernel) * gradient)
        for layer, kernel, gradient in zip(
            layers, kernels, gradients, strict=True
        )
    )
    return [
        np.abs(sum(next(products) for _ in group.layers)) for group in groups
    ]
