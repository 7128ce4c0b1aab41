"""Tests of convolutions whose geometry is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.convolution import Convolution
from hydra_tf.bounds.convolution import ZeroPadding
from hydra_tf.bounds.convolution import same_padding

GEOMETRIES = [
    {"strides": (1, 1)},
    {"strides": (2, 2), "padding": ((1, 1), (1, 1))},
    {"strides": (2, 1), "padding": ((0, 1), (2, 3))},
    {"strides": (3, 3), "padding": ((0, 0), (1, 0)), "groups": 2},
    {"strides": (1, 1), "padding": ((2, 2), (1, 1)), "dilations": (2, 1)},
    {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "groups": 2},
    {"strides": (2, 2), "padding": ((4, 4), (4, 4))},
]


def make(groups=1, **geometry):
    random = np.random.default_rng(0)
    return Convolution(
        tf.constant(random.normal(size=(3, 2, 4 // groups, 6))),
        tf.constant(random.normal(size=6)),
        groups=groups,
        **geometry,
    )


def images():
    return np.random.default_rng(1).normal(size=(2, 7, 6, 4))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_convolutions_of_padded_images(geometry):
    convolution = make(**geometry)
    padding = geometry.get("padding", ((0, 0), (0, 0)))
    expected = keras.ops.conv(
        tf.constant(np.pad(images(), [(0, 0), *padding, (0, 0)])),
        convolution.kernel,
        geometry["strides"],
        "valid",
        dilation_rate=geometry.get("dilations", 1),
    )
    values = convolution(tf.constant(images()))
    np.testing.assert_allclose(values, expected + convolution.bias)
    # The transposed map, by <T y, x> = <y, A x>.
    rows = np.random.default_rng(2).normal(size=values.shape)
    back = convolution.transpose(tf.constant(rows), (7, 6, 4))
    np.testing.assert_allclose(
        np.sum(back * images()), np.sum(rows * expected), rtol=1e-10
    )


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_padding_before_a_convolution_becomes_its_own(geometry):
    convolution = make(**geometry)
    padding = ZeroPadding(((1, 0), (2, 1)))
    merged = convolution.padded(padding.padding)
    x = tf.constant(images())
    np.testing.assert_allclose(merged(x), convolution(padding(x)))
    bare = convolution.without_padding()
    assert bare.padding == ((0, 0), (0, 0))
    assert bare.strides == convolution.strides


def test_zero_padding_is_undone_by_its_transposed_map():
    padding = ZeroPadding(((1, 0), (2, 1)))
    padded = padding(tf.constant(images()))
    assert padded.shape == (2, 8, 9, 4)
    np.testing.assert_array_equal(
        padding.transpose(padded, (7, 6, 4)), images()
    )


@pytest.mark.parametrize("size", [4, 5, 7])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_tensorflows(size, length, stride):
    (before, after), _ = same_padding(
        (size, 1), (length, 1), (stride, 1), (1, 1)
    )
    x = np.random.default_rng(0).normal(size=(1, size, 1, 2))
    kernel = np.random.default_rng(1).normal(size=(length, 1, 2, 1))
    padded = np.pad(x, [(0, 0), (before, after), (0, 0), (0, 0)])
    np.testing.assert_allclose(
        tf.nn.conv2d(x, kernel, stride, "SAME"),
        tf.nn.conv2d(padded, kernel, stride, "VALID"),
        rtol=1e-12,
    )
