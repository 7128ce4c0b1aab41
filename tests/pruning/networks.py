"""Small models for the tests of conversion, phases and reports."""

from __future__ import annotations

import math

import keras
import numpy as np

import hydra_tf as ht


def images(shape=(2, 8, 8, 3), seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype("float32")


def shake(model, seed=0):
    """Gives every weight, running statistics included, a value of its own."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed_generator" in variable.path:
            continue
        value = rng.normal(size=variable.shape) * 0.3
        if "variance" in variable.name:
            value = np.abs(value) + 0.5
        variable.assign(value)
    return model


def multi_branch():
    """Residual, two branches, batch norm, dropout, a layer used twice."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU()(x)
    twice = keras.layers.Conv2D(4, 3, padding="same", name="twice")
    y = keras.layers.Add()([x, twice(twice(x))])
    z = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = keras.ops.relu(y) + z
    y = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(y))
    return shake(keras.Model(inputs, keras.layers.Dense(10, name="logits")(y)))


def sequential():
    return shake(
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, strides=2, name="conv"),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
                keras.layers.Conv2DTranspose(2, 2, name="up"),
                keras.layers.Flatten(),
                keras.layers.Dense(10, name="logits"),
            ]
        )
    )


def functional_in_sequential():
    inner_inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, name="conv")(inner_inputs)
    inner = keras.Model(
        inner_inputs, keras.layers.BatchNormalization()(features), name="inner"
    )
    return shake(
        keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                inner,
                keras.layers.Flatten(),
                keras.layers.Dense(10, name="logits"),
            ]
        )
    )


def sequential_in_functional():
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(3, 3, padding="same", name="conv"),
            keras.layers.ReLU(),
        ],
        name="inner",
    )
    inputs = keras.Input((8, 8, 3))
    x = inner(inner(inputs))  # used twice
    x = keras.layers.Flatten()(x)
    x = keras.layers.Reshape((-1, 8))(x)
    x = keras.layers.Conv1D(4, 3, name="conv1d")(x)
    x = keras.layers.GlobalMaxPooling1D()(x)
    return shake(keras.Model(inputs, keras.layers.Dense(10, name="logits")(x)))


def layer_shared_with_nested():
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    inner_inputs = keras.Input((8, 8, 3))
    inner = keras.Model(inner_inputs, shared(inner_inputs), name="inner")
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(inner(shared(inputs)))
    return shake(keras.Model(inputs, keras.layers.Dense(10, name="logits")(x)))


ALL = (
    multi_branch,
    sequential,
    functional_in_sequential,
    sequential_in_functional,
    layer_shared_with_nested,
)


def dense_chain(widths, seed=0, scales=None):
    """A chain of dense layers without biases, of the given widths."""
    model = keras.Sequential(
        [keras.Input((widths[0],))]
        + [
            keras.layers.Dense(width, use_bias=False, name=f"layer{index}")
            for index, width in enumerate(widths[1:])
        ]
    )
    rng = np.random.default_rng(seed)
    for index, layer in enumerate(model.layers):
        scale = 1.0 if scales is None else scales[index]
        layer.kernel.assign(scale * rng.normal(size=layer.kernel.shape))
    return ht.to_masked(model)


def sizes(model):
    """Number of weights of each masked layer."""
    return {
        name: math.prod(layer.kernel.shape)
        for name, layer in ht.masked_layers(model).items()
    }


def kept_counts(model, densities):
    """What each layer keeps at these densities, which it then has."""
    ht.set_density(model, densities)
    return {
        name: int(np.sum(layer.mask))
        for name, layer in ht.masked_layers(model).items()
    }


def vit(attention=None, *, blocks=1, einsum=False):
    """Blocks of attention and a pair of dense layers, as in ViTs.

    Takes images of 8 x 8 and one channel as 16 tokens.

    Args:
        attention: Called with a block's number, returns its attention layer;
            by default with four heads.
        blocks: Number of blocks.
        einsum: Whether the second layer of a pair is an EinsumDense.
    """
    if attention is None:
        attention = multi_head
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(12, 2, strides=2, name="patches")(image)
    x = keras.layers.Reshape((16, 12))(x)
    for block in range(blocks):
        y = keras.layers.LayerNormalization(name=f"before{block}")(x)
        x = x + attention(block)(y, y)
        y = keras.layers.LayerNormalization(name=f"between{block}")(x)
        y = keras.layers.Dense(10, activation="gelu", name=f"up{block}")(y)
        y = keras.layers.Dropout(0.1)(y)
        down = keras.layers.Dense(12, name=f"down{block}")
        if einsum:
            down = keras.layers.EinsumDense(
                "abc,dc->abd", (None, 12), bias_axes="d", name=f"down{block}"
            )
        x = x + down(y)
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    logits = keras.layers.Dense(3, name="logits")(x)
    return shake(keras.Model(image, logits))


def multi_head(block=0, heads=4):
    """Returns attention whose values have a size of their own."""
    return keras.layers.MultiHeadAttention(
        heads, 5, value_dim=3, name=f"attention{block}"
    )


def grouped(queries, keys, **settings):
    """Returns a function that makes attention in groups for `vit`."""
    return lambda block: keras.layers.GroupQueryAttention(
        5, queries, keys, name=f"attention{block}", **settings
    )
