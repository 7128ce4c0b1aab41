"""ConvNeXt for small images.

Depthwise 7x7 convolutions, each followed by layer normalisation and two dense
layers, all added to their input. Without the scale of each channel and the
random depth of the original, which is for long training on ImageNet.

Reference:

- [Liu et al., 2022](https://arxiv.org/abs/2201.03545)
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from hydra_tf.models import parts

_MLP_RATIO = 4
# The stem makes maps of at least this size where the image has it: of 56 x 56
# on ImageNet, of 16 x 16 on CIFAR, of 8 x 8 on the digits.
_LEAST_MAPS = 14
_STEM_SIZES = (4, 2, 1)


def convnext(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    name: str,
    num_units: Sequence[int],
    widths: Sequence[int],
) -> keras.Model:
    """Builds a ConvNeXt.

    Layers are called `stem`, `block1_unit1_conv`, `block1_unit1_mlp1`,
    `block1_unit1_mlp2`, `block2_down`, ..., `logits`.

    Args:
        input_shape: Height, width and channels of the images, in [0, 1].
        num_classes: Number of logits.
        name: Name of the model.
        num_units: Number of units in each block.
        widths: Channels of each block.

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used.
    """
    x = image = parts.image_input(name, input_shape, num_classes)
    for block, (units, width) in enumerate(
        zip(num_units, widths, strict=True), start=1
    ):
        if block == 1:
            x = _patches(x, width, _stem_size(image.shape[1:3]), name="stem")
            x = parts.layer_norm(x, name="stem_norm")
        else:
            x = parts.layer_norm(x, name=f"block{block}_down_norm")
            x = _patches(x, width, 2, name=f"block{block}_down")
        for unit in range(1, units + 1):
            x = _unit(x, name=f"block{block}_unit{unit}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = parts.layer_norm(x, name="norm")
    logits = parts.dense(
        x, num_classes, initializers=parts.truncated_normal, name="logits"
    )
    return keras.Model(image, logits, name=name)


def _stem_size(image_size: Sequence[int]) -> int:
    most = min(image_size) // _LEAST_MAPS
    return next((size for size in _STEM_SIZES if size <= most), 1)


def _patches(
    x: keras.KerasTensor, width: int, size: int, *, name: str
) -> keras.KerasTensor:
    """A convolution of patches that do not overlap."""
    return keras.layers.Conv2D(
        width,
        size,
        strides=size,
        padding="same",
        name=name,
        **parts.truncated_normal(0),
    )(x)


def _unit(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    initial = parts.truncated_normal(0)
    y = keras.layers.DepthwiseConv2D(
        7,
        padding="same",
        depthwise_initializer=initial["kernel_initializer"],
        bias_initializer=initial["bias_initializer"],
        name=f"{name}_conv",
    )(x)
    y = parts.layer_norm(y, name=f"{name}_norm")
    y = parts.mlp(
        y,
        _MLP_RATIO * x.shape[-1],
        initializers=parts.truncated_normal,
        name=f"{name}_mlp",
    )
    return keras.layers.Add(name=f"{name}_add")([x, y])


convnext_tiny = parts.member(
    convnext,
    "convnext_tiny",
    default_shape=(32, 32, 3),
    num_units=(3, 3, 9, 3),
    widths=(96, 192, 384, 768),
)
