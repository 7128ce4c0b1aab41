"""MobileNet for small images.

Depthwise 3x3 and 1x1 convolutions in turn, with batch normalisation and ReLU
after each. Nearly all weights are in the 1x1 convolutions. Padding is symmetric
and the stem has stride 2, so that a LiteRT file with two thirds of zeros in
those is one that XNNPACK's sparse kernels take.

Reference:

- [Howard et al., 2017](https://arxiv.org/abs/1704.04861), table 1
- [Elsen et al., 2020](https://arxiv.org/abs/1911.09723), sparse 1x1 kernels
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from hydra_tf.models import parts

# Channels and stride of each unit. On ImageNet the second one has stride 2.
_UNITS = (
    (64, 1),
    (128, 1),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(
    input_shape: Sequence[int], num_classes: int, *, name: str, width: float
) -> keras.Model:
    """Builds a MobileNet.

    Layers are called `stem`, `unit1_depthwise`, `unit1_pointwise`, ...,
    `unit13_pointwise`, `logits`.

    Args:
        input_shape: Height, width and channels of the images, in [0, 1].
        num_classes: Number of logits.
        name: Name of the model.
        width: Factor of all numbers of channels.

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used.
    """
    image = parts.image_input(name, input_shape, num_classes)
    x = _normalized(
        parts.conv(
            image,
            round(32 * width),
            3,
            strides=2,
            padding=1,
            use_bias=False,
            initializers=parts.kaiming_normal,
            name="stem",
        ),
        name="stem",
    )
    for number, (channels, strides) in enumerate(_UNITS, start=1):
        depthwise, pointwise = (
            f"unit{number}_{kind}" for kind in ("depthwise", "pointwise")
        )
        x = _normalized(
            parts.depthwise_conv(
                x,
                3,
                strides=strides,
                padding=1,
                initializers=parts.kaiming_normal,
                name=depthwise,
            ),
            name=depthwise,
        )
        x = _normalized(
            parts.conv(
                x,
                round(channels * width),
                1,
                use_bias=False,
                initializers=parts.kaiming_normal,
                name=pointwise,
            ),
            name=pointwise,
        )
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = parts.dense(
        x, num_classes, initializers=parts.kaiming_normal, name="logits"
    )
    return keras.Model(image, logits, name=name)


def _normalized(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    x = parts.batch_norm(x, name=f"{name}_norm")
    return parts.relu(x, name=f"{name}_relu")


mobilenet = parts.member(
    mobilenet_v1, "mobilenet", default_shape=(32, 32, 3), width=1.0
)
mobilenet_half = parts.member(
    mobilenet_v1, "mobilenet_half", default_shape=(32, 32, 3), width=0.5
)
