"""Tests of the receptive fields of feature maps."""

import keras
import numpy as np
import pytest
from keras import layers

import hydra_tf as ht
from hydra_tf.bounds import neurons
from hydra_tf.bounds import receptive_fields
from hydra_tf.bounds.receptive_fields import Side
from hydra_tf.bounds.trace import trace
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights


def conv(filters=2, size=3, strides=1, padding="valid", **kwargs):
    return layers.Conv2D(filters, size, strides, padding, **kwargs)


def plain(x):
    return conv()(layers.ReLU()(conv()(x)))


def strided(x):
    x = layers.ReLU()(conv(2, (3, 2), (2, 3), "same")(x))
    return conv(2, 3, (1, 2), "same")(x)


def padded(x):
    # Zeros behind the edge, and not what a bias makes of them.
    x = layers.ReLU()(conv(2, 4, 2, "same")(x))
    x = conv(2, 1)(layers.ZeroPadding2D(((2, 1), (0, 3)))(x))
    return conv(2, 3, padding="same")(layers.LeakyReLU()(x))


def dilated(x):
    x = layers.ReLU()(conv(dilation_rate=(2, 1), padding="same")(x))
    return conv(2, 2, dilation_rate=2)(x)


def grouped(x):
    x = layers.ReLU()(conv(4, groups=2, padding="same")(x))
    return conv(4, 2, groups=2)(layers.BatchNormalization()(x))


def residual(x):
    y = layers.ReLU()(conv(2, 3, padding="same")(x))
    y = conv(2, 3, padding="same")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Subtract()([conv(2, 3, 2, "same")(x), conv(2, 1, 2)(x)])
    return conv(2, 3, padding="same")(layers.ReLU()(y))


def concatenated(x):
    y = layers.ReLU()(conv(3, 1)(x))
    z = layers.Activation("tanh")(conv(2, 3, padding="same")(x))
    return conv(2, 2, padding="same")(layers.Concatenate()([y, z, x]))


def without_the_input(x):
    # A step, of which only the interval is known.
    x = layers.ReLU(threshold=0.2)(conv(padding="same")(x))
    return conv(2, 3, padding="same")(layers.ReLU()(conv(2, 2)(x)))


def pooled(x):
    x = layers.MaxPooling2D((2, 3), 1)(conv(padding="same")(x))
    x = conv(2, 2, padding="same", activation="gelu")(x)
    return conv(2, 3, padding="same")(layers.MaxPooling2D(2)(x))


def by_place(x):
    # Not the same at all places: no windows behind it.
    x = layers.ReLU()(conv(7, 3, padding="same")(x))
    return conv(2, 2)(layers.ReLU()(layers.BatchNormalization(axis=1)(x)))


def offset_by_place(x):
    offset = np.linspace(-1, 1, 7 * 6 * 2).reshape(7, 6, 2)
    x = layers.Rescaling(0.5, offset=offset)(conv(2, 3, padding="same")(x))
    return conv(2, 2)(layers.ReLU()(x))


@pytest.mark.parametrize(
    "build",
    [
        plain,
        strided,
        padded,
        dilated,
        grouped,
        residual,
        concatenated,
        without_the_input,
        pooled,
        by_place,
        offset_by_place,
    ],
)
def test_windows_bound_as_whole_maps_do(monkeypatch, build):
    inputs = keras.Input((7, 6, 2))
    model = set_random_weights(keras.Model(inputs, build(inputs)))
    box = random_box(model)
    found = []

    def find_windows(*args):
        found.append(find(*args))
        return found[-1]

    find = receptive_fields.find_windows
    monkeypatch.setattr(neurons, "find_windows", find_windows)
    for method in ("crown", "symbolic"):
        results = []
        for share in (100.0, -1.0):
            monkeypatch.setattr(receptive_fields, "_MAX_SHARE", share)
            found.clear()
            made = ht.bounds.BoundPropagation(model, *box)
            results.append([*made.bound(method), made.intermediate(method)])
            used = any(each is not None for each in found)
            assert used == (share > 0 and "by_place" not in build.__name__)
        flat = [
            [np.asarray(end) for end in keras.tree.flatten(result)]
            for result in results
        ]
        for one, other in zip(*flat, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_windows_are_the_receptive_fields():
    inputs = keras.Input((12, 12, 1))
    x = layers.ReLU()(conv(1, 3, 2, "same")(inputs))
    x = conv(1, (2, 3), (1, 2), dilation_rate=1)(x)
    graph = trace(keras.Model(inputs, x))
    shapes = [(12, 12, 1), (6, 6, 1), (6, 6, 1), (5, 2, 1)]
    # The entry (i, j) reads (i..i+1, 2j..2j+2) of the map before, whose entry
    # (i, j) reads (2i..2i+2, 2j..2j+2): "same" pads behind the edge alone.
    assert receptive_fields.find_windows(graph, 3, shapes) == {
        3: (Side(1, 0, 1), Side(1, 0, 1)),
        2: (Side(1, 0, 2), Side(2, 0, 3)),
        1: (Side(1, 0, 2), Side(2, 0, 3)),
        0: (Side(2, 0, 5), Side(4, 0, 7)),
    }


def test_windows_as_large_as_the_maps_are_not_used():
    inputs = keras.Input((4, 4, 1))
    x = layers.ReLU()(conv(1, 3, padding="same")(inputs))
    graph = trace(keras.Model(inputs, conv(1, 3, padding="same")(x)))
    assert receptive_fields.find_windows(graph, 3, [(4, 4, 1)] * 4) is None


def test_sides():
    side = Side(stride=2, start=-1, size=3)
    assert side.end == 2
    assert side.union(Side(2, 0, 4)) == Side(2, -1, 5)
    assert side.leaves(places=2, length=9)
    inside = Side(stride=2, start=0, size=3)
    assert not inside.leaves(places=4, length=9)
    assert inside.leaves(places=5, length=9)
