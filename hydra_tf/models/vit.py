"""Vision transformers for small images.

Patches with fixed sines and cosines of their place added, blocks of attention
and of two dense layers with layer normalisation before each, the mean of all
patches: the plain form of Beyer et al., without a class token.

Reference:

- [Dosovitskiy et al., 2021](https://arxiv.org/abs/2010.11929)
- [Touvron et al., 2021](https://arxiv.org/abs/2012.12877), the Tiny size
- [Beyer et al., 2022](https://arxiv.org/abs/2205.01580)
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.models import parts

# Patches are as large as leaves so many along the shorter side of an image:
# 16x16 pixels for ImageNet's, 4x4 for CIFAR's, 2x2 for the digits'.
_LEAST_PATCHES = 7
_PATCH_SIZES = (16, 8, 4)
_LEAST_PATCH_SIZE = 2
_MLP_RATIO = 4
_LOWEST_FREQUENCY = 1e-4


def vit(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    name: str,
    width: int,
    depth: int,
    num_heads: int,
) -> keras.Model:
    """Builds a vision transformer.

    Layers are called `patches`, `block1_attention_norm`, `block1_attention`,
    `block1_mlp_norm`, `block1_mlp1`, `block1_mlp2`, ..., `norm`, `logits`.

    Args:
        input_shape: Height, width and channels of the images, in [0, 1]. Zeros
            fill up the last patches where a patch does not divide a side.
        num_classes: Number of logits.
        name: Name of the model.
        width: Size of a patch's features, a multiple of 4 and of `num_heads`.
        depth: Number of blocks.
        num_heads: Number of heads of each attention.

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used.
    """
    if width < 4 or width % 4 or width % num_heads:
        raise InputError(
            "`width` must be a multiple of 4 and of the number of heads. "
            f"Received: width={width}, num_heads={num_heads}"
        )
    image = parts.image_input(name, input_shape, num_classes)
    patch_size = patch_size_of(image.shape[1:3])
    x = keras.layers.Conv2D(
        width,
        patch_size,
        strides=patch_size,
        padding="same",
        name="patches",
        # As large as the positions that are added.
        kernel_initializer="lecun_normal",
    )(image)
    rows, columns = x.shape[1:3]
    x = keras.layers.Reshape((rows * columns, width), name="tokens")(x)
    x = keras.ops.add(x, positions(rows, columns, width))
    for block in range(1, depth + 1):
        x = _block(x, num_heads, name=f"block{block}")
    x = parts.layer_norm(x, name="norm")
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    logits = parts.dense(
        x, num_classes, initializers=parts.xavier_uniform, name="logits"
    )
    return keras.Model(image, logits, name=name)


def _block(
    x: keras.KerasTensor, num_heads: int, *, name: str
) -> keras.KerasTensor:
    """Adds attention to the patches, then two dense layers."""
    width = x.shape[-1]
    y = parts.layer_norm(x, name=f"{name}_attention_norm")
    y = keras.layers.MultiHeadAttention(
        num_heads,
        width // num_heads,
        name=f"{name}_attention",
        **parts.xavier_uniform(width),
    )(y, y)
    x = keras.layers.Add(name=f"{name}_attention_add")([x, y])
    y = parts.layer_norm(x, name=f"{name}_mlp_norm")
    y = parts.mlp(
        y,
        _MLP_RATIO * width,
        initializers=parts.xavier_uniform,
        name=f"{name}_mlp",
    )
    return keras.layers.Add(name=f"{name}_mlp_add")([x, y])


def patch_size_of(image_size: Sequence[int]) -> int:
    """Returns the height and width of the patches of images of a size."""
    most = min(image_size) // _LEAST_PATCHES
    fitting = (size for size in _PATCH_SIZES if size <= most)
    return next(fitting, min(_LEAST_PATCH_SIZE, *image_size))


def positions(rows: int, columns: int, width: int) -> np.ndarray:
    """Returns what says where a patch is: `(rows * columns, width)`.

    Sines and cosines of the column and of the row, a quarter of the width each,
    at frequencies from 1 down to 1/10000.

    Args:
        rows: Number of rows of patches.
        columns: Number of patches in each.
        width: Size of their features, a multiple of 4.
    """
    frequencies = np.geomspace(1.0, _LOWEST_FREQUENCY, width // 4)
    row, column = np.mgrid[:rows, :columns].reshape(2, -1, 1) * frequencies
    waves = [np.sin(column), np.cos(column), np.sin(row), np.cos(row)]
    return np.concatenate(waves, axis=1).astype(np.float32)


vit_tiny = parts.member(
    vit,
    "vit_tiny",
    default_shape=(32, 32, 3),
    width=192,
    depth=12,
    num_heads=3,
)
digits_vit = parts.member(
    vit,
    "digits_vit",
    default_shape=(8, 8, 1),
    width=64,
    depth=4,
    num_heads=4,
)
