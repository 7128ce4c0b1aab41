"""Networks, golden noise and comparisons that tests of smoothing share."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.tiny_net import LAYERS
from tests.tiny_net import tiny_net


def golden_net(arrays):
    """Returns N1 of smoothing.npz."""
    return tiny_net(
        {
            f"{layer}_{kind}": arrays[f"N1/{layer}/{kind}"]
            for layer in LAYERS
            for kind in ("kernel", "bias")
        }
    )


def stored_stream(noise):
    """Returns a stand-in for `GaussianStream` that reads stored rows."""
    rows = np.asarray(noise, np.float32)

    class StoredStream:
        def __init__(self, seed, shape, sigma):
            assert rows.shape[1:] == tuple(shape)
            self.sigma = sigma

        def rows(self, start, count):
            # The last batch is filled with rows past the end.
            wanted = start + tf.range(count, dtype=tf.int64)
            wanted = tf.minimum(wanted, len(rows) - 1)
            return self.sigma * tf.gather(rows, wanted)

    return StoredStream


def two_classes(score):
    """Returns the classifier of class 0 where `score(images)` is positive."""

    def model(images):
        margin = score(images)
        return tf.stack([margin, -margin], axis=-1)

    return model


def assert_same(actual, expected):
    """Compares all results of two certifications but the time they took."""
    actual, expected = dict(vars(actual)), dict(vars(expected))
    assert actual.keys() == expected.keys()
    for name in actual.keys() - {"seconds"}:
        np.testing.assert_array_equal(actual[name], expected[name])
