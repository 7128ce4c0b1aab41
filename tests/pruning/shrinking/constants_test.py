"""Tests of which channels are known to be constant."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from hydra_tf.graph import walk
from hydra_tf.pruning.shrinking.constants import find_constants
from tests.pruning.shrinking.random_graphs import set_random_weights


def constants_after(*steps, bias=(0.5, -1.0, 0.0), shape=(6, 6, 2)):
    """Returns the constants that steps make of three, and the real output.

    The first channels of the steps' input are `bias` everywhere, a last one is
    no constant.
    """
    inputs = keras.Input(shape)
    constant = layers.Conv2D(len(bias), 3, padding="same", name="constant")
    x = layers.Concatenate()([constant(inputs), layers.Conv2D(1, 1)(inputs)])
    for step in steps:
        x = step(x)
    model = set_random_weights(keras.Model(inputs, x))
    constant.kernel.assign(np.zeros(constant.kernel.shape))
    constant.bias.assign(bias)
    walked = walk(model)
    found = find_constants(walked)[walked.outputs[0].number]
    images = np.random.default_rng(0).normal(size=(2, *shape))
    return found, np.asarray(model(images.astype("float32")))


def assert_right(found, outputs):
    """What is known must be so; at most what is so may be known."""
    flat = outputs.reshape(-1, outputs.shape[-1])
    for channel in np.flatnonzero(found.known):
        np.testing.assert_allclose(
            flat[:, channel], found.numbers[channel], atol=1e-5
        )


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [layers.ReLU()],
        [layers.BatchNormalization(), layers.Activation("gelu")],
        [layers.PReLU(shared_axes=[1, 2])],
        [layers.Rescaling(2.0, 1.0), layers.LeakyReLU(0.3)],
        [layers.MaxPooling2D(2, padding="same")],
        [layers.AveragePooling2D(2, padding="same")],
        [layers.Cropping2D(1), layers.UpSampling2D(interpolation="bilinear")],
        [layers.GlobalAveragePooling2D()],
        [layers.Dropout(0.5), layers.GaussianNoise(1.0)],
        [layers.DepthwiseConv2D(3)],
        [layers.DepthwiseConv2D(1, padding="same", activation="tanh")],
        [layers.Permute((2, 1, 3)), layers.Reshape((36, 4))],
        [lambda x: layers.Add()([x, 2.0 * x])],
        [lambda x: layers.Concatenate(axis=1)([x, x])],
        [lambda x: ops.sigmoid(1.0 - x)],
    ],
)
def test_constants_pass_through_what_makes_one_number_of_one(steps):
    found, outputs = constants_after(*steps)
    np.testing.assert_array_equal(found.known, [True, True, True, False])
    assert_right(found, outputs)


@pytest.mark.parametrize(
    "steps",
    [
        [layers.ZeroPadding2D(1)],
        [layers.DepthwiseConv2D(3, padding="same", use_bias=False)],
        [layers.PReLU()],
        [lambda x: layers.Concatenate(axis=1)([x, 2.0 * x])],
    ],
)
def test_only_zero_passes_what_is_not_the_same_everywhere(steps):
    found, outputs = constants_after(*steps, bias=(-1.0, -2.0, 0.0))
    np.testing.assert_array_equal(found.known, [False, False, True, False])
    assert_right(found, outputs)


@pytest.mark.parametrize(
    "steps",
    [
        [layers.Softmax()],
        [layers.LayerNormalization()],
        [layers.Conv2D(4, 3)],
        [layers.BatchNormalization(axis=1)],
        [lambda x: layers.Dropout(0.5)(x, training=True)],
        [lambda x: ops.flip(x, axis=-1)],
    ],
)
def test_nothing_is_known_behind_what_mixes_channels_or_draws_numbers(steps):
    found, _ = constants_after(*steps)
    assert not found.known.any()


def test_a_filter_that_reads_constants_alone_is_one():
    layer = layers.Conv2D(2, 3, activation="relu", name="reader")

    def only_constants(x):
        y = layer(x)
        kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 2))
        kernel[:, :, 3, 0] = 0
        only_constants.kernel = kernel
        return y

    inputs = keras.Input((6, 6, 2))
    constant = layers.Conv2D(3, 1)
    x = layers.Concatenate()([constant(inputs), layers.Conv2D(1, 1)(inputs)])
    model = set_random_weights(keras.Model(inputs, only_constants(x)))
    constant.kernel.assign(np.zeros(constant.kernel.shape))
    layer.kernel.assign(only_constants.kernel)
    walked = walk(model)
    found = find_constants(walked)[walked.outputs[0].number]
    np.testing.assert_array_equal(found.known, [True, False])
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 2))
    assert_right(found, np.asarray(model(images.astype("float32"))))


def test_a_transposed_convolution_makes_constants_of_zeros_alone():
    up = layers.Conv2DTranspose(2, 3, strides=2)
    inputs = keras.Input((4, 4, 2))
    constant = layers.Conv2D(3, 1)
    model = set_random_weights(keras.Model(inputs, up(constant(inputs))))
    constant.kernel.assign(np.zeros(constant.kernel.shape))
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 2))
    images = images.astype("float32")
    walked = walk(model)
    for bias, known in (([0, 0, 0], True), ([0, 0, 1], False)):
        constant.bias.assign(bias)
        found = find_constants(walked)[walked.outputs[0].number]
        assert found.known.tolist() == [known] * 2
        assert_right(found, np.asarray(model(images)))


def test_the_losses_of_a_layer_stay_as_they_are():
    inputs = keras.Input((4,))
    dense = layers.Dense(3, kernel_initializer="zeros", use_bias=False)
    x = layers.ActivityRegularization(l2=1.0)(dense(inputs))
    model = keras.Model(inputs, layers.ReLU()(x))
    before = len(model.losses)
    find_constants(walk(model))
    assert len(model.losses) == before
