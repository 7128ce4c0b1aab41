"""Tests of the rules of softmax and of attention."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import bounds_by
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights

TOKENS = (4, 6)


def network(build, shape=TOKENS):
    inputs = keras.Input(shape)
    outputs = layers.Dense(3)(layers.Flatten()(build(inputs)))
    return set_random_weights(keras.Model(inputs, outputs))


def by_name(x):
    return layers.MultiHeadAttention(2, 3)(
        key=layers.Dense(5)(x), value=layers.Dense(4)(x), query=x
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.MultiHeadAttention(2, 3)(x, x),
        lambda x: layers.MultiHeadAttention(
            2, 3, value_dim=2, use_bias=False, dropout=0.5, output_shape=5
        )(x, layers.Cropping1D((0, 1))(x)),
        lambda x: layers.GroupQueryAttention(3, 4, 1)(
            x, x, use_causal_mask=False, return_attention_scores=False
        ),
        by_name,
    ],
)
def test_attention_is_bounded(build):
    assert_sound(network(build), radius=0.3)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Softmax()(x),
        lambda x: layers.Softmax(axis=1)(x),
        lambda x: layers.Softmax(axis=(1, 2))(x),
        lambda x: keras.ops.softmax(x, axis=-2),
        lambda x: keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1))),
    ],
)
def test_softmax_is_bounded(build):
    assert_sound(network(build), radius=0.5)


def test_crown_is_tighter_than_intervals():
    model = network(lambda x: layers.MultiHeadAttention(2, 3)(x, x))
    box = random_box(model, radius=0.02)
    widths = [
        float(np.mean(np.subtract(*bounds_by(method, model, *box)[::-1])))
        for method in ("crown", "crown_ibp", "ibp")
    ]
    assert widths[0] <= widths[1] < 0.5 * widths[2]


def small_vision_transformer(activation="gelu"):
    """Patches, positions, one block of attention and MLP, pooling."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 4, 4)(inputs)
    x = layers.Reshape((-1, 6))(x)
    x = x + np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3)(y, y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(12, activation=activation)(y)
    x = x + layers.Dropout(0.1)(layers.Dense(6)(y))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(3)(x))


def test_a_small_vision_transformer_is_certified():
    keras.utils.set_random_seed(0)
    model = small_vision_transformer()
    images = np.random.default_rng(1).random((2, 8, 8, 1))
    labels = np.argmax(model(images), -1)
    crown, crown_ibp, ibp = (
        np.asarray(ht.bounds.margins(model, images, labels, 1e-3, method))
        for method in ("crown", "crown_ibp", "ibp")
    )
    assert np.all(crown > 0)
    assert np.mean(crown) > np.mean(crown_ibp) + 0.1
    assert np.mean(crown_ibp) >= np.mean(ibp) - 1e-9
    far = ht.bounds.certified(model, images[:1], labels[:1], 0.5, "crown")
    assert not np.any(far)


def test_training_reaches_the_weights_of_a_vision_transformer():
    model = small_vision_transformer("silu")
    images = np.random.default_rng(1).random((2, 8, 8, 1)).astype(np.float32)

    with tf.GradientTape() as tape:
        margins = ht.bounds.margins(model, images, [0, 1], 1e-3)
        loss = -tf.reduce_mean(margins)
    weights = model.trainable_variables
    for variable, gradient in zip(
        weights, tape.gradient(loss, weights), strict=True
    ):
        # A constant that all keys have in common changes no weight.
        if "key/bias" not in variable.path:
            assert np.any(gradient != 0), variable.path
        assert np.all(np.isfinite(gradient)), variable.path


def test_bounds_on_the_parts_of_attention_go_by_their_names():
    model = network(
        lambda x: layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    )
    *_, bounds = ht.bounds.interval(
        model, *random_box(model), return_intermediate=True
    )
    shapes = {name: tuple(ends[0].shape) for name, ends in bounds.items()}
    assert shapes == {
        "attention/query": (2, 2, 4, 3),
        "attention/key": (2, 2, 3, 4),
        "attention/value": (2, 2, 4, 3),
        "attention/scores": (2, 2, 4, 4),
        "attention/weights": (2, 2, 4, 4),
    }


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(
                x, x, use_causal_mask=True
            ),
            "'odd' .*called with use_causal_mask",
        ),
        (
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(
                x, x, attention_mask=keras.ops.ones((1, 4, 4))
            ),
            "'odd' .*called with attention_mask",
        ),
        (
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(
                x, x, return_attention_scores=True
            )[0],
            "'odd' .*called with return_attention_scores",
        ),
        (
            lambda x: layers.MultiHeadAttention(2, 3, name="odd")(
                *[layers.Reshape((2, 2, 6))(x)] * 2
            ),
            r"'odd' .*must be \(batch, tokens, channels\), not .*2, 2, 6",
        ),
        (
            lambda x: layers.MultiHeadAttention(
                2, 3, output_shape=(2, 2), name="odd"
            )(x, x),
            "'odd' .*output_shape is",
        ),
        (
            lambda x: layers.Softmax(axis=0, name="odd")(x),
            "'odd' .*mixes the rows of a batch",
        ),
    ],
)
def test_attention_that_has_no_bounds_is_said(build, message):
    with pytest.raises(InputError, match=message) as caught:
        ht.bounds.check_supported(network(build))
    assert "\n" not in str(caught.value)
