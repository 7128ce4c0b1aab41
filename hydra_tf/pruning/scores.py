"""Where the importance scores start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.layers.masked_weight import scaled_scores
from hydra_tf.pruning.channels.groups import ChannelGroup
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.registry import own_code
from hydra_tf.registry.granularities import STRUCTURED
from hydra_tf.registry.scores import SCORES


def init_scores(
    model: keras.Model,
    method: str = "scaled",
    *,
    seed: int | None = None,
    data: Any = None,
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
        method: One of the table, or `package.module:function` of one's own
            (see `hydra_tf.registry.scores`).
        seed: Integer that makes the random methods reproducible; each layer
            draws from a stream of its own.
        data: For `"snip"`: a batch `(images, labels)`, labels as class indices
            of shape `(batch_size,)`, or a `tf.data.Dataset` whose first batch
            is taken.

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
    entry = SCORES.entry(method)
    batch = _checked_batch(data, model) if entry.needs_data else None
    scores = own_code.call(entry.load(), model, groups, seed=seed, data=batch)
    variables = [group.leader.scores for group in groups]
    values = _checked(scores, variables, method)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def check_method(method: Any, name: str = "method", data: Any = None) -> None:
    """Raises `InputError` unless a score initialisation can be used.

    Args:
        method: Name of the method.
        name: What the caller's argument is called.
        data: The batch for methods that need one.
    """
    try:
        needs_data = SCORES.entry(method).needs_data
    except InputError as error:
        raise InputError(f"`{name}`: {error}") from error
    if needs_data and data is None:
        raise InputError(
            f"method '{method}' needs one batch: data=(images, labels)"
        )


def _checked(
    scores: Any, variables: Sequence[keras.Variable], method: str
) -> list[np.ndarray]:
    """Returns scores that fit; a user's own may not."""
    shapes = [tuple(variable.shape) for variable in variables]
    try:
        values = [np.asarray(each, np.float32) for each in scores]
    except (TypeError, ValueError):
        values = []
    if [value.shape for value in values] != shapes:
        raise InputError(
            f"the scores {method!r} must be a list of one tensor for each "
            f"group of layers, of shapes {shapes}. Received: "
            f"{[value.shape for value in values] or type(scores).__name__}"
        )
    if not all(np.all(np.isfinite(value)) for value in values):
        raise InputError(f"the scores {method!r} must be finite numbers")
    return values


def first_batch(data: Any, batch_size: int | None = None) -> Any:
    """Returns the batch that scores start from.

    Args:
        data: A pair of arrays `(images, labels)`, or a `tf.data.Dataset` of
            batches of such pairs, or `None`.
        batch_size: Integer, how much of the arrays is one batch; by default
            all.
    """
    if isinstance(data, tf.data.Dataset):
        return next(iter(data))[:2]
    if data is None:
        return None
    images, labels = data
    return images[:batch_size], labels[:batch_size]


def _checked_batch(data: Any, model: keras.Model) -> Any:
    """Returns the first batch of images and labels that suit a model."""
    batch = first_batch(data)
    if batch is None:
        return None
    images, labels = map(inputs.as_array, batch)
    # Which range of values is right, the objective alone knows.
    inputs.check_images(
        images, "images of data", clip=None, shape=inputs.image_shape_of(model)
    )
    soft = inputs.is_distribution(labels)
    check = inputs.check_distributions if soft else inputs.check_labels
    check(
        labels,
        "labels of data",
        num_images=inputs.num_images_of(images),
        num_classes=inputs.num_classes_of(model),
    )
    return images, np.argmax(labels, axis=-1) if soft else labels


def _of_channels(group: ChannelGroup) -> bool:
    return group.leader.granularity in STRUCTURED


def _fan_in(group: ChannelGroup) -> int:
    return 1 if _of_channels(group) else group.leader.fan_in


def _values(group: ChannelGroup) -> tf.Tensor:
    """The weights of a group, or the norms of its channels, as float32."""
    values = (
        group.unit_norms if _of_channels(group) else group.leader.kernel.value
    )
    return tf.cast(tf.convert_to_tensor(values), tf.float32)


def scaled(
    model: keras.Model, groups: Sequence[ChannelGroup], **_: Any
) -> list[tf.Tensor]:
    """Returns the weights, scaled to the largest and the fan-in."""
    return [scaled_scores(_values(group), _fan_in(group)) for group in groups]


def magnitude(
    model: keras.Model, groups: Sequence[ChannelGroup], **_: Any
) -> list[tf.Tensor]:
    """Returns the magnitudes of the weights."""
    return [tf.abs(_values(group)) for group in groups]


def _drawn(
    groups: Sequence[ChannelGroup],
    seed: int | None,
    initializer: Callable[[ChannelGroup, int], keras.initializers.Initializer],
) -> list[tf.Tensor]:
    """Returns the scores of each group, drawn from a stream of its own."""
    streams = np.random.SeedSequence(seed).spawn(len(groups))
    return [
        initializer(group, int(stream.generate_state(1)[0] >> 1))(
            group.leader.scores.shape, dtype="float32"
        )
        for group, stream in zip(groups, streams, strict=True)
    ]


def random(
    model: keras.Model,
    groups: Sequence[ChannelGroup],
    *,
    seed: int | None = None,
    **_: Any,
) -> list[tf.Tensor]:
    """Returns scores that are uniform in (0, 1)."""
    return _drawn(
        groups,
        seed,
        lambda group, seed: keras.initializers.RandomUniform(
            0.0, 1.0, seed=seed
        ),
    )


def variance_scaled(
    model: keras.Model,
    groups: Sequence[ChannelGroup],
    *,
    mode: str,
    distribution: str,
    seed: int | None = None,
    **_: Any,
) -> list[tf.Tensor]:
    """Returns scores of a variance that falls with the fans of the kernel.

    Args:
        model: Model with masked layers.
        groups: Its groups. Channels have a fan-in and a fan-out of 1.
        mode: `"kaiming"` for 2 / fan_in, `"xavier"` for
            2 / (fan_in + fan_out).
        distribution: `"uniform"` or `"normal"`, not truncated.
        seed: Integer that makes them reproducible.
    """

    def initializer(
        group: ChannelGroup, seed: int
    ) -> keras.initializers.Initializer:
        if mode == "xavier" and not _of_channels(group):
            return keras.initializers.VarianceScaling(
                1.0,
                "fan_avg",
                "uniform"
                if distribution == "uniform"
                else "untruncated_normal",
                seed=seed,
            )
        # Keras's own takes the fan-in of a convolution, also of a depthwise
        # or transposed one.
        variance = (2.0 if mode == "kaiming" else 1.0) / _fan_in(group)
        deviation = variance**0.5
        if distribution == "normal":
            return keras.initializers.RandomNormal(0, deviation, seed)
        limit = 3.0**0.5 * deviation
        return keras.initializers.RandomUniform(-limit, limit, seed)

    return _drawn(groups, seed, initializer)


# The rows of the registry.
kaiming_uniform, kaiming_normal, xavier_uniform, xavier_normal = (
    functools.partial(variance_scaled, mode=mode, distribution=distribution)
    for mode in ("kaiming", "xavier")
    for distribution in ("uniform", "normal")
)


def snip(
    model: keras.Model,
    groups: Sequence[ChannelGroup],
    *,
    data: tuple[Any, Any],
    **_: Any,
) -> list[np.ndarray]:
    """Returns `|w * dL/dw|` of the unpruned network on one batch."""
    images, labels = data
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
