"""Residual networks: for small images, and ResNet-50 for ImageNet.

Convolutions have no bias, batch norm follows each, the ReLU comes after the
addition. A shortcut is a 1x1 convolution where the shape changes.

Reference:

- [He et al., 2016](https://arxiv.org/abs/1512.03385)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from hydra_tf.models import parts

# Channels that leave a bottleneck unit per channel of its 3x3 convolution.
_BOTTLENECK_EXPANSION = 4


def resnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    name: str,
    num_units: Sequence[int],
    width: int = 64,
    bottleneck: bool = False,
    imagenet: bool = False,
) -> keras.Model:
    """Builds a residual network.

    Layers are called `conv1`, `block1_unit1_conv1`, `block2_unit1_shortcut`,
    ..., `logits`. The last maps are averaged whatever their size.

    Args:
        input_shape: Height, width and channels of the images, in [0, 1].
        num_classes: Number of logits.
        name: Name of the model.
        num_units: Number of residual units in each of the four blocks.
        width: Channels of the first block; each other has twice as many as
            the one before.
        bottleneck: Whether a unit is 1x1, 3x3, 1x1 rather than 3x3, 3x3.
        imagenet: Whether the network starts with a 7x7 convolution of stride
            2 and a max-pooling, and with Kaiming-normal kernels; otherwise it
            starts with a 3x3 convolution, uniformly in +-1 / sqrt(fan_in).

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used.
    """
    image = parts.image_input(name, input_shape, num_classes)
    conv = functools.partial(
        parts.conv,
        use_bias=False,
        initializers=(
            parts.kaiming_normal if imagenet else parts.fan_in_uniform
        ),
    )
    if imagenet:
        x = conv(image, width, 7, strides=2, padding=3, name="conv1")
    else:
        x = conv(image, width, 3, padding=1, name="conv1")
    x = parts.batch_norm(x, name="conv1_bn")
    x = parts.relu(x, name="conv1_relu")
    if imagenet:
        # Zeros pad as well as minus infinity does: ReLU outputs are >= 0.
        x = keras.layers.ZeroPadding2D(1, name="conv1_pool_pad")(x)
        x = keras.layers.MaxPooling2D(3, strides=2, name="conv1_pool")(x)
    for block, units in enumerate(num_units, start=1):
        for unit in range(1, units + 1):
            x = _residual_unit(
                x,
                width * 2 ** (block - 1),
                conv=conv,
                strides=2 if block > 1 and unit == 1 else 1,
                bottleneck=bottleneck,
                name=f"block{block}_unit{unit}",
            )
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = parts.dense(
        x, num_classes, initializers=parts.fan_in_uniform, name="logits"
    )
    return keras.Model(image, logits, name=name)


def _residual_unit(
    x: keras.KerasTensor,
    channels: int,
    *,
    conv: functools.partial[keras.KerasTensor],
    strides: int,
    bottleneck: bool,
    name: str,
) -> keras.KerasTensor:
    """Adds a stack of convolutions to the unit's input, then a ReLU."""
    # (filters, kernel size, strides) of each convolution; the stride of a
    # bottleneck is on its 3x3 convolution.
    if bottleneck:
        filters = channels * _BOTTLENECK_EXPANSION
        convs = [(channels, 1, 1), (channels, 3, strides), (filters, 1, 1)]
    else:
        filters = channels
        convs = [(channels, 3, strides), (channels, 3, 1)]
    y = x
    for index, (width, kernel_size, step) in enumerate(convs, start=1):
        layer = f"{name}_conv{index}"
        y = conv(
            y,
            width,
            kernel_size,
            strides=step,
            padding=kernel_size // 2,
            name=layer,
        )
        y = parts.batch_norm(y, name=f"{layer}_bn")
        if index < len(convs):
            y = parts.relu(y, name=f"{layer}_relu")
    if strides != 1 or x.shape[-1] != filters:
        x = conv(x, filters, 1, strides=strides, name=f"{name}_shortcut")
        x = parts.batch_norm(x, name=f"{name}_shortcut_bn")
    y = keras.layers.Add(name=f"{name}_add")([y, x])
    return parts.relu(y, name=f"{name}_relu")


resnet18 = parts.member(
    resnet,
    "resnet18",
    default_shape=(32, 32, 3),
    num_units=(2, 2, 2, 2),
)
resnet18_narrow = parts.member(
    resnet,
    "resnet18_narrow",
    default_shape=(32, 32, 3),
    num_units=(2, 2, 2, 2),
    width=16,
)
resnet34 = parts.member(
    resnet,
    "resnet34",
    default_shape=(32, 32, 3),
    num_units=(3, 4, 6, 3),
)
resnet50 = parts.member(
    resnet,
    "resnet50",
    default_shape=(32, 32, 3),
    num_units=(3, 4, 6, 3),
    bottleneck=True,
)
resnet50_imagenet = parts.member(
    resnet,
    "resnet50_imagenet",
    default_shape=(224, 224, 3),
    default_classes=1000,
    num_units=(3, 4, 6, 3),
    bottleneck=True,
    imagenet=True,
)
