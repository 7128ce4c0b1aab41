"""VGG networks for small images, with and without batch norm.

Blocks of 3x3 convolutions without bias, a 2x2 max-pooling between them, the
maps averaged down to 2x2, then dense layers 256, 256, logits.

Reference:

- [Simonyan and Zisserman, 2015](https://arxiv.org/abs/1409.1556)
- [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), the head and sizes
"""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.models import parts

# Channels of the convolutions, block by block, and whether a max-pooling also
# follows the last block (between blocks there always is one).
_CONFIGS: dict[str, tuple[tuple[tuple[int, ...], ...], bool]] = {
    "vgg2": (((64,), (64,)), True),
    "vgg4": (((64,) * 2, (128,) * 2), True),
    "vgg8": (((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2), True),
    "vgg11": (((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2), False),
    "vgg13": (
        ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2),
        False,
    ),
    "vgg16": (
        ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
        False,
    ),
}


def vgg(
    config_name: str,
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    batch_norm: bool = True,
    *,
    width: int = 64,
) -> keras.Model:
    """Builds a VGG network.

    Layers are called `block1_conv1`, ..., `dense1`, `dense2`, `logits`.

    Args:
        config_name: `"vgg2"`, `"vgg4"`, `"vgg8"`, `"vgg11"`, `"vgg13"` or
            `"vgg16"`.
        input_shape: Height, width and channels of the images, in [0, 1].
        num_classes: Number of logits.
        batch_norm: Whether batch norm follows each convolution; the model's
            name then ends in `_bn`.
        width: Integer >= 1, channels of the first convolution, which the
            others are multiples of, and a quarter of the units of the dense
            layers. The model's name ends in `_narrow` for less than 64.

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used.
    """
    if config_name not in _CONFIGS:
        raise InputError(
            f"`config_name` {config_name!r} is not a VGG network. "
            + close_matches(config_name, _CONFIGS)
        )
    blocks, pool_at_end = _CONFIGS[config_name]
    name = _name(config_name, batch_norm, width)
    num_pools = len(blocks) - 1 + pool_at_end
    image = parts.image_input(
        name, input_shape, num_classes, minimum_size=2 * 2**num_pools
    )
    x = image
    for block, channels in enumerate(blocks, start=1):
        for index, filters in enumerate(channels, start=1):
            layer = f"block{block}_conv{index}"
            x = parts.conv(
                x,
                filters * width // 64,
                3,
                padding=1,
                use_bias=False,
                initializers=parts.kaiming_normal,
                name=layer,
            )
            if batch_norm:
                x = parts.batch_norm(x, name=f"{layer}_bn")
            x = parts.relu(x, name=f"{layer}_relu")
        if block <= num_pools:
            x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = _average_to_two_by_two(x)
    x = keras.layers.Flatten(name="flatten")(x)
    # The papers' is for wide heads: in narrow ones the signal fades, and under
    # attack training starts late or not at all.
    head = parts.small_normal if width >= 64 else parts.fan_in_uniform
    for index in (1, 2):
        x = parts.dense(x, 4 * width, initializers=head, name=f"dense{index}")
        x = parts.relu(x, name=f"dense{index}_relu")
    logits = parts.dense(x, num_classes, initializers=head, name="logits")
    return keras.Model(image, logits, name=name)


def _average_to_two_by_two(x: keras.KerasTensor) -> keras.KerasTensor:
    """Averages maps of at least 2x2 over two windows in each direction.

    With an odd size the windows share the middle row: they are ceil(size / 2)
    long and floor(size / 2) apart, as in PyTorch's adaptive pooling.
    """
    size = x.shape[1:3]
    if tuple(size) == (2, 2):
        return x
    return keras.layers.AveragePooling2D(
        pool_size=tuple(math.ceil(n / 2) for n in size),
        strides=tuple(n // 2 for n in size),
        name="pool",
    )(x)


def _name(config_name: str, batch_norm: bool, width: int) -> str:
    name = f"{config_name}_bn" if batch_norm else config_name
    return f"{name}_narrow" if width < 64 else name


def _network(
    config_name: str, batch_norm: bool, width: int = 64
) -> Callable[..., keras.Model]:
    def builder(
        input_shape: Sequence[int], num_classes: int, *, name: str
    ) -> keras.Model:
        del name  # `vgg` derives the same one.
        return vgg(
            config_name, input_shape, num_classes, batch_norm, width=width
        )

    return parts.member(
        builder,
        _name(config_name, batch_norm, width),
        default_shape=(32, 32, 3),
    )


vgg2 = _network("vgg2", batch_norm=False)
vgg2_bn = _network("vgg2", batch_norm=True)
vgg4 = _network("vgg4", batch_norm=False)
vgg4_bn = _network("vgg4", batch_norm=True)
vgg8 = _network("vgg8", batch_norm=False)
vgg8_bn = _network("vgg8", batch_norm=True)
vgg11 = _network("vgg11", batch_norm=False)
vgg11_bn = _network("vgg11", batch_norm=True)
vgg11_bn_narrow = _network("vgg11", batch_norm=True, width=16)
vgg13 = _network("vgg13", batch_norm=False)
vgg13_bn = _network("vgg13", batch_norm=True)
vgg16 = _network("vgg16", batch_norm=False)
vgg16_bn = _network("vgg16", batch_norm=True)
