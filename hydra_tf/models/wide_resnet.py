"""Wide residual networks: few wide units, batch norm before the convolutions.

Reference:

- [Zagoruyko and Komodakis, 2016](https://arxiv.org/abs/1605.07146)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Sequence

import keras

from hydra_tf.errors import InputError
from hydra_tf.models import parts

_conv = functools.partial(
    parts.conv, use_bias=False, initializers=parts.kaiming_normal
)


def wide_resnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    name: str,
    depth: int,
    width_factor: int,
) -> keras.Model:
    """Builds a wide residual network.

    Layers are called `conv1`, `block1_unit1_conv1`, `block1_unit1_shortcut`,
    ..., `logits`. The last maps are averaged whatever their size. The original
    implementations also hold a block that no output depends on; it is left out.

    Args:
        input_shape: Height, width and channels of the images, in [0, 1].
        num_classes: Number of logits.
        name: Name of the model.
        depth: Number of layers, 4 more than a multiple of 6.
        width_factor: The blocks have 16, 32 and 64 times as many channels.

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used.
    """
    if depth < 10 or (depth - 4) % 6 != 0:
        raise InputError(
            "`depth` must be 4 more than a positive multiple of 6. "
            f"Received: depth={depth}"
        )
    image = parts.image_input(name, input_shape, num_classes)
    x = _conv(image, 16, 3, padding=1, name="conv1")
    for block in (1, 2, 3):
        for unit in range(1, (depth - 4) // 6 + 1):
            x = _preactivated_unit(
                x,
                8 * 2**block * width_factor,
                strides=2 if block > 1 and unit == 1 else 1,
                name=f"block{block}_unit{unit}",
            )
    x = parts.batch_norm(x, name="bn")
    x = parts.relu(x, name="relu")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = parts.dense(
        x,
        num_classes,
        initializers=parts.fan_in_uniform_zero_bias,
        name="logits",
    )
    return keras.Model(image, logits, name=name)


def _preactivated_unit(
    x: keras.KerasTensor, filters: int, *, strides: int, name: str
) -> keras.KerasTensor:
    """Adds (batch norm, ReLU, 3x3 convolution) twice to the unit's input."""
    activated = parts.batch_norm(x, name=f"{name}_bn1")
    activated = parts.relu(activated, name=f"{name}_relu1")
    y = _conv(
        activated, filters, 3, strides=strides, padding=1, name=f"{name}_conv1"
    )
    y = parts.batch_norm(y, name=f"{name}_bn2")
    y = parts.relu(y, name=f"{name}_relu2")
    y = _conv(y, filters, 3, padding=1, name=f"{name}_conv2")
    # As in the originals, a convolutional shortcut reads the activated input,
    # an identity the raw one.
    if x.shape[-1] != filters:
        x = _conv(
            activated, filters, 1, strides=strides, name=f"{name}_shortcut"
        )
    return keras.layers.Add(name=f"{name}_add")([y, x])


def _network(depth: int, width_factor: int) -> Callable[..., keras.Model]:
    return parts.member(
        wide_resnet,
        f"wrn_{depth}_{width_factor}",
        default_shape=(32, 32, 3),
        depth=depth,
        width_factor=width_factor,
    )


wrn_28_1 = _network(28, 1)
wrn_28_4 = _network(28, 4)
wrn_28_10 = _network(28, 10)
wrn_34_10 = _network(34, 10)
wrn_40_2 = _network(40, 2)
