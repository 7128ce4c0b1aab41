"""What users hand in as images and labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.errors import InputError

X = np.linspace(0, 1, 2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)


@pytest.mark.parametrize(
    ("x", "settings"),
    [
        (X, {}),
        (X.astype(np.float16), {}),
        (tf.cast(X, tf.bfloat16), {}),
        (np.float32(1.0005) * X, {}),  # Rounding.
        (X - 1, {"clip": (-1, 1)}),
        (X - 1, {"clip": tf.constant([-1.0, 1.0])}),
        (255 * X, {"clip": None}),
        (X[:0], {"may_be_empty": True}),
        (X, {"shape": (4, None, 3)}),
        # Keras adds and drops such an axis.
        (X[..., 0], {"shape": (4, 4, 1)}),
        (X[..., :1], {"shape": (4, 4)}),
    ],
)
def test_images_that_fit_pass(x, settings):
    inputs.check_images(x, **settings)


@pytest.mark.parametrize(
    ("x", "settings", "words"),
    [
        (255 * X, {}, "divide pixels of 0..255 by 255. Received: .* 0 to 255"),
        (255 * X, {"takes_clip": True}, "by 255; or give `clip`"),
        (300 * X, {}, "keras.layers.Rescaling"),
        (2 * X - 1, {}, "keras.layers.Rescaling.* -1 to 1"),
        (3 * X, {"clip": (-1, 1)}, r"must lie in \[-1, 1\]"),
        (
            X * np.nan,
            {"clip": None},
            "finite numbers.* 96 of 96 values are nan",
        ),
        (X.astype(int), {}, "by 255. Received: dtype=int64"),
        (X, {"shape": (3, 4, 4)}, r"Received: shape=\(2, 4, 4, 3\)$"),
        (
            np.moveaxis(X, -1, 1),
            {"shape": (4, 4, 3)},
            r"to the end: np.moveaxis\(x, 1, -1\)",
        ),
        (X[0], {"shape": (4, 4, 3)}, r"x\[np.newaxis\]"),
        (X[:, :0], {}, "one image or more"),
        (np.array(None), {}, "float images"),
    ],
)
def test_images_that_do_not_fit_are_named(x, settings, words):
    with pytest.raises(InputError, match=words) as caught:
        inputs.check_images(x, **settings)
    assert "\n" not in str(caught.value)


def test_traced_images_are_known_by_dtype_and_shape():
    @tf.function(autograph=False)
    def check(x, y):
        inputs.check_images(x, shape=(4, 4, 3))
        inputs.check_labels(y, num_images=2, num_classes=1)
        return x

    check(255 * X, np.array([7, 8]))
    with pytest.raises(InputError, match="network's input"):
        check(X[..., :2], np.array([7, 8]))
    with pytest.raises(InputError, match="integers"):
        check(X, np.array([0.5, 1]))


@pytest.mark.parametrize(
    ("y", "settings", "words"),
    [
        (np.eye(3), {}, r"np.argmax\(labels, axis=-1\)"),
        (np.zeros((2, 1, 1), int), {}, r"shape=\(2, 1, 1\)"),
        (np.array(1), {}, r"shape=\(\)"),
        (np.zeros(2), {}, "integers. Received: dtype=float64"),
        (np.array([True, False]), {}, "integers. Received: dtype=bool"),
        (np.array([0.5]), {"whole_floats": True}, "whole numbers"),
        (np.array([0, 1]), {"num_images": 3}, "2 labels, 3 images"),
        (np.array([-1]), {}, "of at least 0. Received: -1"),
        (tf.constant([4]), {"num_classes": 3}, "from 0 to 2, .* 3 logits"),
        (np.array([4]), {"num_classes": 3, "because": "so"}, "0 to 2, so. R"),
    ],
)
def test_labels_that_do_not_fit_are_named(y, settings, words):
    with pytest.raises(InputError, match=words) as caught:
        inputs.check_labels(y, **settings)
    assert "\n" not in str(caught.value)


def test_labels_that_fit_pass():
    for y in (np.array([0, 2]), np.array([[0], [2]]), np.array([0], np.uint8)):
        inputs.check_labels(y, num_classes=3)
    inputs.check_labels(np.array([0.0, 2.0]), num_classes=3, whole_floats=True)


def test_networks_show_shapes_where_they_are_known():
    network = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(3)])
    assert inputs.image_shape_of(network) == (None, 4)
    assert inputs.num_classes_of(network) == 3
    pair = [keras.Input((4,)), keras.Input((4,))]
    two = keras.Model(pair, keras.layers.Add()(pair))
    for unknown in (keras.Sequential([keras.layers.Dense(3)]), abs, two):
        assert inputs.image_shape_of(unknown) is None
    assert inputs.num_classes_of(abs) is None


def test_lists_become_arrays():
    assert inputs.as_array([0.5]).dtype == np.float32
    assert inputs.as_array([1]).dtype.kind == "i"
    assert inputs.as_array([[1], [1, 2]]).dtype == object
    assert inputs.as_array(X) is X
