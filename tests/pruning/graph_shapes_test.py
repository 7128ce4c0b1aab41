"""Each shape that a graph can have: masked by channels, stripped, shrunk."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import hydra_tf as ht
from tests.pruning.networks import shake

IMAGE = (6, 6, 3)


def conv(x, filters=8, name=None, **kwargs):
    return layers.Conv2D(
        filters, 3, padding="same", activation="relu", name=name, **kwargs
    )(x)


def logits(x):
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(3, name="logits")(x)


def concat():
    image = keras.Input(IMAGE)
    stem = conv(image, name="stem")
    branches = [conv(stem, name="one"), conv(stem, 4, name="two"), stem]
    x = conv(layers.Concatenate()(branches), name="last")
    return keras.Model(image, logits(x))


def split():
    image = keras.Input(IMAGE)
    one, two = ops.split(conv(image, name="stem"), 2, axis=-1)
    one = conv(conv(one, name="one"), 4, name="two")
    x = layers.Concatenate()([one, two])
    return keras.Model(image, logits(conv(x, name="last")))


def residual():
    image = keras.Input(IMAGE)
    x = conv(image, name="stem")
    y = layers.BatchNormalization()(conv(x, name="one"))
    x = layers.ReLU()(layers.Add()([x, conv(y, name="two")]))
    return keras.Model(image, logits(conv(x, name="last")))


def squeeze_and_excite():
    image = keras.Input(IMAGE)
    x = conv(image, name="stem")
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="silu", name="squeeze")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    x = conv(layers.Multiply()([x, gate]), name="last")
    return keras.Model(image, logits(x))


def depthwise():
    image = keras.Input(IMAGE)
    x = conv(image, name="stem")
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    return keras.Model(image, logits(layers.Conv2D(6, 1, name="last")(x)))


def grouped_and_separable():
    image = keras.Input(IMAGE)
    x = conv(conv(image, name="stem"), groups=2, name="grouped")
    x = layers.SeparableConv2D(8, 3, name="separable")(conv(x, name="last"))
    x = conv(conv(x, name="middle"), name="end")
    return keras.Model(image, logits(x))


def attention():
    tokens = keras.Input((5, 8))
    y = layers.LayerNormalization()(tokens)
    x = tokens + layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    y = layers.LayerNormalization()(x)
    y = layers.Dense(16, "gelu", name="mlp1")(y)
    x = layers.Add()([x, layers.Dense(8, name="mlp2")(y)])
    return keras.Model(tokens, logits(layers.GlobalAveragePooling1D()(x)))


def several_inputs():
    image, features = keras.Input(IMAGE), keras.Input((5,))
    x = layers.Flatten()(conv(image, name="image"))
    y = layers.Dense(8, "relu", name="features")(features)
    x = layers.Dense(8, "relu", name="last")(layers.Concatenate()([x, y]))
    return keras.Model([image, features], logits(x))


def several_outputs():
    image = keras.Input(IMAGE)
    x = conv(image, name="stem")
    x = layers.GlobalMaxPooling2D()(conv(x, name="last"))
    return keras.Model(image, [logits(x), layers.Dense(2, name="other")(x)])


def shared():
    image = keras.Input(IMAGE)
    x = conv(image, name="stem")
    twice = layers.Conv2D(8, 3, padding="same", name="twice")
    return keras.Model(image, logits(conv(twice(twice(x)), name="last")))


def nested():
    image, inner = keras.Input(IMAGE), keras.Input((6, 6, 8))
    block = keras.Model(inner, conv(conv(inner, name="one"), name="two"))
    x = block(conv(image, name="stem"))
    return keras.Model(image, logits(x))


# Each with the layers that lose outputs.
SHAPES = {
    concat: {"stem", "one", "two", "last"},
    # The halves are cut where they are; what lies between loses.
    split: {"one", "two", "last"},
    residual: {"stem", "one", "two", "last"},
    squeeze_and_excite: {"stem", "squeeze", "excite", "last"},
    depthwise: {"stem", "last"},
    # Grouped and separable convolutions keep what they read and make.
    grouped_and_separable: {"middle", "end"},
    # Hidden units of the MLP; heads have a granularity of their own.
    attention: {"mlp1"},
    several_inputs: {"image", "features", "last"},
    several_outputs: {"stem", "last"},
    shared: {"stem", "twice", "last"},
    nested: {"stem", "one", "two"},
}


def outputs_of(model, seed=1):
    rng = np.random.default_rng(seed)
    inputs = [rng.random((2, *each.shape[1:])) for each in model.inputs]
    return keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0]))


def assert_equal_outputs(one, other):
    for a, b in zip(outputs_of(one), outputs_of(other), strict=True):
        scale = max(1.0, float(np.abs(a).max()))
        np.testing.assert_allclose(a, b, atol=1e-5 * scale, rtol=0)


def num_outputs(model):
    return {
        layer.name: layer.output.shape[-1]
        for layer in model._flatten_layers()
        if isinstance(layer, layers.Dense | layers.Conv2D)
    }


@pytest.mark.parametrize(
    "granularity", ["channel", pytest.param("filter", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_masked_by_channels_and_shrunk(make, granularity):
    model = shake(make())
    with warnings.catch_warnings():
        # Of layers that keep all their channels.
        warnings.simplefilter("ignore", UserWarning)
        masked = ht.to_masked(model, granularity=granularity)
    assert_equal_outputs(model, masked)
    ht.set_density(masked, 0.5)
    ht.init_scores(masked, "random", seed=0)
    ht.set_phase(masked, "prune")
    stripped = ht.strip_masks(masked)
    assert_equal_outputs(masked, stripped)
    shrunk = ht.shrink(masked)
    assert_equal_outputs(masked, shrunk)
    before, after = num_outputs(model), num_outputs(shrunk)
    assert {name for name in after if after[name] < before[name]} == SHAPES[
        make
    ]


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_masked_by_weights(make):
    model = shake(make())
    masked = ht.to_masked(model, strict=True)
    assert_equal_outputs(model, masked)
    ht.set_density(masked, 0.5)
    assert_equal_outputs(masked, ht.strip_masks(masked))
