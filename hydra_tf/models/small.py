"""Small convolutional networks: a few convolutions, then dense layers.

Reference:

- [Wong et al., 2018](https://arxiv.org/abs/1805.12514) introduced the MNIST
  and CIFAR networks for provable robustness
- [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509) prunes them
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras

from hydra_tf.models import parts


class Conv(NamedTuple):
    """One convolution; every side of its input is padded with one zero."""

    filters: int
    kernel_size: int
    strides: int


_TWO_CONVS = (Conv(16, 4, 2), Conv(32, 4, 2))
_FOUR_CONVS = (Conv(32, 3, 1), Conv(32, 4, 2), Conv(64, 3, 1), Conv(64, 4, 2))
_DIGITS_CONVS = (Conv(16, 3, 1), Conv(32, 3, 2), Conv(64, 3, 1), Conv(64, 3, 2))


def convnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    name: str,
    convs: Sequence[Conv],
    units: Sequence[int],
    conv_initializers: parts.Initializers = parts.kaiming_normal,
) -> keras.Model:
    """Convolutions, then dense layers, with a ReLU after each, then logits.

    Layers are called `conv1`, ..., `dense1`, ..., `logits`.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of logits.
        name: Name of the model.
        convs: The convolutions in order.
        units: Sizes of the dense layers between them and the logits.
        conv_initializers: How the convolutions start; the dense layers start
            uniformly in +-1 / sqrt(fan_in).

    Raises:
        InputError: If an argument cannot be used.
    """
    # A 4x4 kernel with stride 2 halves an image, rounding down, and there
    # must be a pixel left; a padded 3x3 kernel takes any image.
    minimum_size = 2 ** sum(c.kernel_size == 4 for c in convs)
    image = parts.image_input(name, input_shape, num_classes, minimum_size)
    x = image
    for index, (filters, kernel_size, strides) in enumerate(convs, start=1):
        x = parts.conv(
            x,
            filters,
            kernel_size,
            strides=strides,
            padding=1,
            initializers=conv_initializers,
            name=f"conv{index}",
        )
        x = parts.relu(x, name=f"conv{index}_relu")
    x = keras.layers.Flatten(name="flatten")(x)
    for index, size in enumerate(units, start=1):
        x = parts.dense(
            x, size, initializers=parts.fan_in_uniform, name=f"dense{index}"
        )
        x = parts.relu(x, name=f"dense{index}_relu")
    logits = parts.dense(
        x, num_classes, initializers=parts.fan_in_uniform, name="logits"
    )
    return keras.Model(image, logits, name=name)


def residual_convnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    name: str,
    num_units: int = 5,
    width_factor: int = 1,
) -> keras.Model:
    """The residual network of Wong et al.: no batch norm, biases everywhere.

    Three blocks of residual units with 16, 32 and 64 times `width_factor`
    channels; every shortcut is a convolution, 1x1 or, where the image is
    halved, 2x2. The first block has one unit more than the others. Then a
    dense layer of 1000 and the logits.

    Args:
        input_shape: Height, width and channels of the images.
        num_classes: Number of logits.
        name: Name of the model.
        num_units: Residual units in the second and the third block.
        width_factor: Multiplies the channels of the blocks.

    Raises:
        InputError: If an argument cannot be used.
    """
    image = parts.image_input(name, input_shape, num_classes, minimum_size=4)
    x = parts.conv(
        image,
        16,
        3,
        padding=1,
        initializers=parts.kaiming_normal,
        name="conv1",
    )
    x = parts.relu(x, name="conv1_relu")
    for block, units in enumerate((num_units + 1, num_units, num_units)):
        for unit in range(units):
            x = _convolutional_shortcut_unit(
                x,
                16 * 2**block * width_factor,
                halve=block > 0 and unit == 0,
                name=f"block{block + 1}_unit{unit + 1}",
            )
    x = keras.layers.Flatten(name="flatten")(x)
    x = parts.dense(x, 1000, initializers=parts.fan_in_uniform, name="dense1")
    x = parts.relu(x, name="dense1_relu")
    logits = parts.dense(
        x, num_classes, initializers=parts.fan_in_uniform, name="logits"
    )
    return keras.Model(image, logits, name=name)


def _convolutional_shortcut_unit(
    x: keras.KerasTensor, filters: int, *, halve: bool, name: str
) -> keras.KerasTensor:
    """ReLU of (conv, ReLU, conv) plus a convolution of the unit's input."""
    strides = 2 if halve else 1
    y = parts.conv(
        x,
        filters,
        4 if halve else 3,
        strides=strides,
        padding=1,
        initializers=parts.kaiming_normal,
        name=f"{name}_conv1",
    )
    y = parts.relu(y, name=f"{name}_conv1_relu")
    y = parts.conv(
        y,
        filters,
        3,
        padding=1,
        initializers=parts.kaiming_normal,
        name=f"{name}_conv2",
    )
    shortcut = parts.conv(
        x,
        filters,
        strides,
        strides=strides,
        initializers=parts.kaiming_normal,
        name=f"{name}_shortcut",
    )
    y = keras.layers.Add(name=f"{name}_add")([y, shortcut])
    return parts.relu(y, name=f"{name}_relu")


cifar_model = parts.member(
    convnet,
    "cifar_model",
    default_shape=(32, 32, 3),
    convs=_TWO_CONVS,
    units=(100,),
)
cifar_model_large = parts.member(
    convnet,
    "cifar_model_large",
    default_shape=(32, 32, 3),
    convs=_FOUR_CONVS,
    units=(512, 512),
)
cifar_model_resnet = parts.member(
    residual_convnet,
    "cifar_model_resnet",
    default_shape=(32, 32, 3),
)
mnist_model = parts.member(
    convnet,
    "mnist_model",
    default_shape=(28, 28, 1),
    convs=_TWO_CONVS,
    units=(100,),
    conv_initializers=parts.fan_in_uniform,
)
mnist_model_large = parts.member(
    convnet,
    "mnist_model_large",
    default_shape=(28, 28, 1),
    convs=_FOUR_CONVS,
    units=(512, 512),
    conv_initializers=parts.fan_in_uniform,
)
digits_model = parts.member(
    convnet,
    "digits_model",
    default_shape=(8, 8, 1),
    convs=_DIGITS_CONVS,
    units=(128,),
)
