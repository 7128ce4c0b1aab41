"""Tests of the rules of softmax and of attention."""

import keras
import numpy as np
import pytest
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
        lambda x: layers.MultiHeadAttention(1, 3)(
            x, x, use_causal_mask=False, return_attention_scores=False
        ),
        lambda x: layers.GroupQueryAttention(3, 4, 2)(x, x),
        by_name,
    ],
)
def test_attention_is_bounded(build):
    assert_sound(network(build), radius=0.1)
    assert_sound(network(build), radius=2.0)


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
