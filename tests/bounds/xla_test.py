"""Tests of bounds whose steps XLA compiles: as the plain ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from hydra_tf.bounds import receptive_fields
from hydra_tf.bounds import xla
from tests.bounds.comparisons import assert_close
from tests.bounds.comparisons import gradients
from tests.bounds.random_points import bounds_by
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((4, 3, 2))
    x = layers.Conv2D(3, 2, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(3, 2, padding="same")(x)
    x = layers.LeakyReLU(negative_slope=0.1)(layers.Add()([x, y]))
    x = layers.Dense(4)(layers.Flatten()(x))
    return set_random_weights(keras.Model(inputs, x))


@pytest.fixture(scope="module")
def box(network):
    return random_box(network, batch=3)


def test_large_tensors_in_a_graph_are_worth_compiling():
    worth = {}

    @tf.function
    def trace(tensor, batch):
        worth[tensor.shape[0], batch] = xla.pays(tensor, batch)

    few, many = tf.zeros([1, 2**10]), tf.zeros([2**6, 2**10])
    trace(few, 1)
    trace(many, 2**6)
    assert worth == {(1, 1): False, (2**6, 2**6): True}
    assert not xla.pays(many, 2**6)  # Eagerly, never.


@pytest.mark.parametrize(
    ("method", "least", "share"),
    [
        ("ibp", 0, None),
        ("crown_ibp", 0, None),
        ("crown_ibp", 10**9, None),
        ("crown", 0, 100.0),
        ("symbolic", 0, -1.0),
    ],
)
def test_compiled_functions_agree_gradients_included(
    monkeypatch, network, box, method, least, share
):
    total, expected = gradients(network, box, method)
    monkeypatch.setattr(xla, "MIN_NUMBERS", least)
    if share is not None:
        monkeypatch.setattr(receptive_fields, "_MAX_SHARE", share)
    compiled_total, compiled = tf.function(
        lambda: gradients(network, box, method)
    )()
    np.testing.assert_allclose(compiled_total, total, rtol=1e-4)
    assert_close(compiled, expected)


@pytest.mark.parametrize("method", ["ibp", "crown_ibp", "symbolic"])
def test_compiled_functions_of_any_batch_size(monkeypatch, network, method):
    box = random_box(network, batch=4)
    expected = bounds_by(method, network, *box)
    monkeypatch.setattr(xla, "MIN_NUMBERS", 0)
    bounds = tf.function(
        lambda lower, upper: bounds_by(method, network, lower, upper),
        input_signature=[tf.TensorSpec([None, 4, 3, 2])] * 2,
    )
    for count in (4, 1):
        assert_close(
            bounds(*(end[:count] for end in box)),
            [end[:count] for end in expected],
        )


def test_branches_of_a_condition_may_hold_bounds(monkeypatch, network, box):
    """As a weight of CROWN does that is zero in some epochs."""
    _, expected = gradients(network, box, "crown_ibp")

    @tf.function
    def within(condition):
        weights = [weight.value for weight in network.trainable_variables]
        with tf.GradientTape() as tape:
            total = tf.cond(
                condition,
                lambda: gradients(network, box, "crown_ibp")[0],
                lambda: 0.0,
            )
        return tape.gradient(
            total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    monkeypatch.setattr(xla, "MIN_NUMBERS", 0)
    assert_close(within(tf.constant(True)), expected[:-2])
    for gradient in within(tf.constant(False)):
        assert not np.any(gradient)
