"""The small networks whose golden values are in tests/testdata."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

LAYERS = ("conv1", "conv2", "dense1", "dense2")


def tiny_net(arrays: Mapping[str, np.ndarray], masked=False) -> keras.Model:
    """Returns the tiny net of the golden file `arrays`.

    Args:
        arrays: With `{L}_kernel` and `{L}_bias` for each of `LAYERS`.
        masked: Whether to multiply the kernels by `mask_{L}`.
    """
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(
        8, 4, 2, padding="same", activation="relu", name="conv1"
    )(inputs)
    x = keras.layers.Conv2D(
        16, 4, 2, padding="same", activation="relu", name="conv2"
    )(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(20, activation="relu", name="dense1")(x)
    outputs = keras.layers.Dense(10, name="dense2")(x)
    model = keras.Model(inputs, outputs)
    for name in LAYERS:
        kernel = arrays[f"{name}_kernel"]
        if masked:
            kernel = kernel * arrays[f"mask_{name}"]
        model.get_layer(name).set_weights([kernel, arrays[f"{name}_bias"]])
    return model


def batch_norm_net(
    arrays: Mapping[str, np.ndarray], masked=False
) -> keras.Model:
    """Returns the network of batchnorm.npz, statistics as before the step.

    Args:
        arrays: The arrays of batchnorm.npz.
        masked: Whether to multiply the kernels by `mask_conv`, `mask_dense`.
    """
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, name="conv")(
        inputs
    )
    x = keras.layers.BatchNormalization(
        momentum=float(arrays["bn_momentum_keras"]),
        epsilon=float(arrays["bn_epsilon"]),
        name="bn",
    )(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(10, name="dense")(x))
    conv_kernel, dense_kernel = arrays["conv_kernel"], arrays["dense_kernel"]
    if masked:
        conv_kernel = conv_kernel * arrays["mask_conv"]
        dense_kernel = dense_kernel * arrays["mask_dense"]
    model.get_layer("conv").set_weights([conv_kernel])
    model.get_layer("dense").set_weights([dense_kernel, arrays["dense_bias"]])
    set_statistics(
        model,
        arrays["bn_moving_mean_before"],
        arrays["bn_moving_var_before"],
        arrays,
    )
    return model


def set_statistics(model, mean, variance, arrays) -> None:
    """Sets scale, offset and running statistics of `batch_norm_net`."""
    model.get_layer("bn").set_weights(
        [arrays["bn_gamma"], arrays["bn_beta"], mean, variance]
    )


def autoattack_net(arrays: Mapping[str, np.ndarray], name: str) -> keras.Model:
    """Returns a network of autoattack.npz.

    Args:
        arrays: The arrays of autoattack.npz.
        name: `"AA1"`, convolutions of 4 pixels, or `"AA2"`, also some of 3
            between them that keep the size.
    """
    model = keras.Sequential([keras.Input((16, 16, 3))])
    names = dict.fromkeys(
        key.split("/")[1]
        for key in arrays
        if key.startswith(f"{name}/") and key.endswith("/kernel")
    )
    *hidden, last = names
    for each in (*hidden, last):
        kernel = arrays[f"{name}/{each}/kernel"]
        activation = None if each == last else "relu"
        if kernel.ndim == 4:
            size = kernel.shape[0]
            layer = keras.layers.Conv2D(
                kernel.shape[-1],
                size,
                2 if size == 4 else 1,
                padding="same",
                activation=activation,
            )
        else:
            if len(model.output_shape) == 4:
                model.add(keras.layers.Flatten())
            layer = keras.layers.Dense(kernel.shape[-1], activation)
        model.add(layer)
        layer.set_weights([kernel, arrays[f"{name}/{each}/bias"]])
    return model
