"""The pieces that every family of networks is built from.

They reproduce what the original PyTorch networks are made of, in Keras:
symmetric zero padding, initial weights, batch-norm constants. Layer names are
always given, because reports and allocation files are keyed by them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.registry.models import MODELS

# PyTorch's batch norm: its momentum 0.1 weighs the new value, Keras' the old.
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.9
# That of the originals of transformers and ConvNeXt.
LAYER_NORM_EPSILON = 1e-6

Initializers = Callable[[int], dict[str, keras.initializers.Initializer]]


def kaiming_normal(fan_in: int) -> dict[str, keras.initializers.Initializer]:
    """Normal kernel of variance 2 / fan_out, not truncated; zero bias.

    Args:
        fan_in: Inputs that one output reads; not used by this rule.

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1502.01852), section 2.2
    """
    del fan_in
    return {
        "kernel_initializer": keras.initializers.VarianceScaling(
            scale=2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        "bias_initializer": keras.initializers.Zeros(),
    }


def fan_in_uniform(fan_in: int) -> dict[str, keras.initializers.Initializer]:
    """Kernel and bias uniform in +-1 / sqrt(fan_in), PyTorch's default.

    Args:
        fan_in: Inputs that one output reads.
    """
    limit = 1.0 / math.sqrt(fan_in)
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-limit, limit),
        "bias_initializer": keras.initializers.RandomUniform(-limit, limit),
    }


def fan_in_uniform_zero_bias(
    fan_in: int,
) -> dict[str, keras.initializers.Initializer]:
    """Kernel uniform in +-1 / sqrt(fan_in), zero bias.

    Args:
        fan_in: Inputs that one output reads.
    """
    return {
        **fan_in_uniform(fan_in),
        "bias_initializer": keras.initializers.Zeros(),
    }


def small_normal(fan_in: int) -> dict[str, keras.initializers.Initializer]:
    """Normal kernel of deviation 0.01, zero bias: the dense layers of VGG.

    Args:
        fan_in: Inputs that one output reads; not used by this rule.
    """
    del fan_in
    return {
        "kernel_initializer": keras.initializers.RandomNormal(stddev=0.01),
        "bias_initializer": keras.initializers.Zeros(),
    }


def truncated_normal(fan_in: int) -> dict[str, keras.initializers.Initializer]:
    """Truncated normal kernel of deviation 0.02, zero bias: ConvNeXt.

    Args:
        fan_in: Inputs that one output reads; not used by this rule.
    """
    del fan_in
    return {
        "kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.02),
        "bias_initializer": keras.initializers.Zeros(),
    }


def xavier_uniform(fan_in: int) -> dict[str, keras.initializers.Initializer]:
    """Kernel uniform in +-sqrt(6 / (fan_in + fan_out)), zero bias.

    Args:
        fan_in: Inputs that one output reads; Keras counts them itself.

    Reference:

    - [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html)
    """
    del fan_in
    return {
        "kernel_initializer": keras.initializers.GlorotUniform(),
        "bias_initializer": keras.initializers.Zeros(),
    }


def check_arguments(
    network: str,
    input_shape: Sequence[int],
    num_classes: int,
    minimum_size: int = 1,
) -> tuple[int, int, int]:
    """Checks the two arguments that every network takes.

    Args:
        network: Name of the network, for the messages.
        input_shape: Height, width and channels of an image.
        num_classes: Number of logits, >= 1.
        minimum_size: Smallest height and width that the network can take.

    Returns:
        The `input_shape`, as three integers.

    Raises:
        InputError: If an argument cannot be used.
    """
    try:
        height, width, channels = (operator.index(n) for n in input_shape)
    except (TypeError, ValueError):
        height = width = channels = 0
    if min(height, width, channels) < 1:
        raise InputError(
            "`input_shape` must be three positive integers, (height, width, "
            f"channels). Received for {network}: input_shape={input_shape}"
        )
    try:
        valid = operator.index(num_classes) >= 1
    except TypeError:
        valid = False
    if not valid or isinstance(num_classes, bool):
        raise InputError(
            "`num_classes` must be a positive integer. Received for "
            f"{network}: num_classes={num_classes!r}"
        )
    shape = (height, width, channels)
    if min(height, width) < minimum_size:
        raise InputError(
            f"`input_shape` {shape} is too small for {network}, which needs "
            f"images of at least {minimum_size} x {minimum_size} pixels."
        )
    return shape


def image_input(
    network: str,
    input_shape: Sequence[int],
    num_classes: int,
    minimum_size: int = 1,
) -> keras.KerasTensor:
    """Returns the input of a network after `check_arguments`."""
    shape = check_arguments(network, input_shape, num_classes, minimum_size)
    return keras.Input(shape, name="image")


def conv(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int,
    *,
    name: str,
    initializers: Initializers,
    strides: int = 1,
    padding: int = 0,
    use_bias: bool = True,
) -> keras.KerasTensor:
    """A convolution with `padding` zeros on each of the four sides.

    Where Keras' `same` pads in exactly that way it is used; elsewhere (a 3x3
    kernel with stride 2 on an even image, for one) `same` would pad only on
    the right and below, so that a `ZeroPadding2D` layer called `<name>_pad`
    comes before a `valid` convolution.

    Args:
        x: Feature maps, `(batch, height, width, channels)`.
        filters: Number of output channels.
        kernel_size: Height and width of the kernel.
        name: Name of the layer.
        initializers: Maps the fan-in to the initialisers of kernel and bias.
        strides: Step in both directions.
        padding: Zeros added on every side.
        use_bias: Whether the layer has a bias.

    Raises:
        ValueError: If the kernel is larger than the padded image.
    """
    # Not every version of Keras notices.
    if min(x.shape[1:3]) + 2 * padding < kernel_size:
        raise ValueError(
            f"layer '{name}': a {kernel_size}x{kernel_size} kernel does not "
            f"fit into maps of {x.shape[1]}x{x.shape[2]}"
        )
    x, mode = _padded(x, kernel_size, strides, padding, name)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=mode,
        use_bias=use_bias,
        name=name,
        **initializers(kernel_size**2 * x.shape[-1]),
    )(x)


def depthwise_conv(
    x: keras.KerasTensor,
    kernel_size: int,
    *,
    name: str,
    initializers: Initializers,
    strides: int = 1,
    padding: int = 0,
) -> keras.KerasTensor:
    """A depthwise convolution without bias, padded as `conv` is.

    Args:
        x: Feature maps, `(batch, height, width, channels)`.
        kernel_size: Height and width of the kernel.
        name: Name of the layer.
        initializers: Maps the fan-in to the initialisers of kernel and bias.
        strides: Step in both directions.
        padding: Zeros added on every side.
    """
    x, mode = _padded(x, kernel_size, strides, padding, name)
    initial = initializers(kernel_size**2)
    return keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding=mode,
        use_bias=False,
        depthwise_initializer=initial["kernel_initializer"],
        name=name,
    )(x)


def _padded(
    x: keras.KerasTensor,
    kernel_size: int,
    strides: int,
    padding: int,
    name: str,
) -> tuple[keras.KerasTensor, str]:
    """Returns the input of a convolution and Keras' mode of padding it."""
    if not padding:
        return x, "valid"
    same = all(
        max((math.ceil(size / strides) - 1) * strides + kernel_size, size)
        == size + 2 * padding
        for size in x.shape[1:3]
    )
    if same:
        return x, "same"
    return keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(x), "valid"


def dense(
    x: keras.KerasTensor,
    units: int,
    *,
    name: str,
    initializers: Initializers,
) -> keras.KerasTensor:
    """A dense layer with bias and without activation.

    Args:
        x: Features, `(batch, ..., features)`.
        units: Number of outputs.
        name: Name of the layer.
        initializers: Maps the fan-in to the initialisers of kernel and bias.
    """
    return keras.layers.Dense(
        operator.index(units), name=name, **initializers(x.shape[-1])
    )(x)


def batch_norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Batch normalisation with the constants of the originals."""
    return keras.layers.BatchNormalization(
        epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, name=name
    )(x)


def layer_norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Layer normalisation of each position's channels."""
    return keras.layers.LayerNormalization(
        epsilon=LAYER_NORM_EPSILON, name=name
    )(x)


def mlp(
    x: keras.KerasTensor,
    units: int,
    *,
    name: str,
    initializers: Initializers,
) -> keras.KerasTensor:
    """Two dense layers with a GELU between them, back to the size of `x`.

    Args:
        x: Features, `(batch, ..., features)`.
        units: Number of hidden units.
        name: What the names of the layers begin with: `<name>1`,
            `<name>_gelu`, `<name>2`.
        initializers: Maps the fan-in to the initialisers of kernel and bias.
    """
    y = dense(x, units, name=f"{name}1", initializers=initializers)
    y = keras.layers.Activation("gelu", name=f"{name}_gelu")(y)
    return dense(y, x.shape[-1], name=f"{name}2", initializers=initializers)


def relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """A ReLU as a layer of its own."""
    return keras.layers.ReLU(name=name)(x)


def member(
    builder: Callable[..., keras.Model],
    name: str,
    *,
    default_shape: tuple[int, int, int],
    default_classes: int = 10,
    **settings: Any,
) -> Callable[..., keras.Model]:
    """Returns one network of a family as a function with its own name.

    Args:
        builder: The family: takes `(input_shape, num_classes, *, name,
            **settings)` and returns the model.
        name: Name of the function and of the models that it makes, one of the
            registry, where its docstring begins.
        default_shape: Image shape when none is given.
        default_classes: Number of classes when none is given.
        **settings: What distinguishes this network in its family.
    """

    def build(
        input_shape: Sequence[int] = default_shape,
        num_classes: int = default_classes,
    ) -> keras.Model:
        return builder(input_shape, num_classes, name=name, **settings)

    build.__name__ = build.__qualname__ = name
    build.__module__ = builder.__module__
    build.__doc__ = f"""{MODELS.entry(name).help}

    Args:
        input_shape: Height, width and channels of the images, which are in
            [0, 1]. Defaults to `{default_shape}`.
        num_classes: Number of logits. Defaults to `{default_classes}`.

    Returns:
        A Functional `keras.Model` from images to logits.

    Raises:
        InputError: If an argument cannot be used by this network.
    """
    return build
