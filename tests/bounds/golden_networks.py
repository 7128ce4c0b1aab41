"""The networks of the golden bounds, `N1` to `N3m`."""

from __future__ import annotations

import keras
import numpy as np

import hydra_tf as ht
from tests import golden

# Layer that computes each activation's input in N3, in the golden words.
N3_INPUTS = {
    "bn0": "pre0",
    "bn1": "pre1",
    "add1": "pre2",
    "bn3": "pre3",
    "add2": "pre4",
}

_STRIDES = {"N1": (2, 2), "N2": (1, 2, 1, 2)}


def golden_network(name: str, phase: str = "finetune") -> keras.Model:
    """Returns a network with the weights of the golden file.

    N1m comes with masked layers; the other networks with the kernels that
    their masks leave.

    Args:
        name: `"N1"`, `"N1m"`, `"N2m"`, `"N3"` or `"N3m"`.
        phase: Phase of the masked layers.
    """
    arrays = {
        key.removeprefix(f"{name}/"): value
        for key, value in golden.load("bounds_networks").items()
        if key.startswith(f"{name}/")
    }
    build = _residual_network if name.startswith("N3") else _plain_network
    network = build(name, arrays)
    for layer in network.layers:
        if f"{layer.name}/gamma" in arrays:
            names = ["gamma", "beta", "moving_mean", "moving_variance"]
        elif f"{layer.name}/kernel_dense" in arrays:
            names = ["kernel_dense", "bias"]
        else:
            names = ["kernel", "bias"][: len(layer.weights)]
        if layer.weights:
            layer.set_weights([arrays[f"{layer.name}/{key}"] for key in names])
    if name != "N1m":
        return network
    network = ht.to_masked(network)
    for layer_name, layer in ht.masked_layers(network).items():
        layer.scores.assign(arrays[f"{layer_name}/scores"])
    ht.set_density(network, 0.3)
    ht.set_phase(network, phase)
    for layer_name, layer in ht.masked_layers(network).items():
        np.testing.assert_array_equal(layer.mask, arrays[f"{layer_name}/mask"])
    return network


def _plain_network(name: str, arrays) -> keras.Model:
    inputs = x = keras.Input((8, 8, 3))
    for number, strides in enumerate(_STRIDES[name[:2]], start=1):
        x = _conv(arrays, f"conv{number}", strides, use_bias=True)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(x)
    num_dense = 2 if name.startswith("N1") else 3
    for number in range(1, num_dense + 1):
        x = keras.layers.Dense(
            arrays[f"dense{number}/bias"].size,
            activation=None if number == num_dense else "relu",
            name=f"dense{number}",
        )(x)
    return keras.Model(inputs, x)


def _residual_network(name: str, arrays) -> keras.Model:
    def conv(layer_name, strides, x):
        return _conv(arrays, layer_name, strides, use_bias=False)(x)

    def norm(layer_name, x):
        return keras.layers.BatchNormalization(
            epsilon=float(arrays["bn_epsilon"]), name=layer_name
        )(x)

    def relu(x):
        return keras.layers.ReLU()(x)

    inputs = keras.Input((8, 8, 3))
    first = relu(norm("bn0", conv("conv0", 1, inputs)))
    x = relu(norm("bn1", conv("conv1", 2, first)))
    x = norm("bn2", conv("conv2", 1, x))
    shortcut = norm("bns", conv("convs", 2, first))
    second = relu(keras.layers.Add(name="add1")([x, shortcut]))
    x = relu(norm("bn3", conv("conv3", 1, second)))
    x = norm("bn4", conv("conv4", 1, x))
    x = relu(keras.layers.Add(name="add2")([x, second]))
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="dense")(x))


def _conv(arrays, name: str, strides: int, *, use_bias: bool):
    """Returns a convolution padded by 1 on every side, unless it is 1x1."""
    key = f"{name}/kernel"
    kernel = arrays[key if key in arrays else f"{name}/kernel_dense"]
    conv = keras.layers.Conv2D(
        kernel.shape[-1],
        kernel.shape[0],
        strides,
        use_bias=use_bias,
        name=name,
    )
    if kernel.shape[0] == 1:
        return conv
    padding = keras.layers.ZeroPadding2D(1)
    return lambda x: conv(padding(x))
