"""Tests of the operations that rules describe layers by."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf.errors import InputError


def test_linear_maps_know_their_absolute_and_transposed_maps():
    kernel = tf.constant([[1.0, -2.0], [0.0, 3.0], [-1.0, 1.0]])
    operation = bounds.Linear(
        lambda x, kernel: x @ kernel, kernel, tf.constant([10.0, 20.0])
    )
    x = tf.constant([[1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(operation(x), [[10, 22]])
    np.testing.assert_array_equal(operation.absolute(x), [[2, 6]])
    rows = tf.constant([[1.0, 1.0], [0.0, 2.0]])
    np.testing.assert_array_equal(
        operation.transpose(rows, (3,)), rows @ tf.transpose(kernel)
    )


def test_linear_maps_compute_in_the_dtype_of_the_rows():
    operation = bounds.Linear(
        lambda x, kernel: x * kernel, tf.Variable([2.0]), tf.Variable([1.0])
    )
    x = tf.constant([[3.0]], tf.float64)
    assert operation(x).dtype == tf.float64
    assert operation.absolute(x).dtype == tf.float64
    assert operation.transpose(x, (1,)).dtype == tf.float64


def test_a_transposed_map_may_be_given():
    operation = bounds.Linear(
        lambda x: x[:, ::-1], transpose=lambda rows, shape: rows[:, ::-1]
    )
    np.testing.assert_array_equal(
        operation.transpose(tf.constant([[1.0, 2.0]]), (2,)), [[2, 1]]
    )


def test_the_other_operations():
    x = tf.constant([[-2.0, 4.0]])
    np.testing.assert_array_equal(bounds.Scale([2.0, -1.0], 1.0)(x), [[-3, -3]])
    np.testing.assert_array_equal(bounds.LeakyReLU()(x), [[0, 4]])
    np.testing.assert_array_equal(bounds.LeakyReLU(0.5)(x), [[-1, 4]])
    np.testing.assert_array_equal(bounds.Monotone(tf.exp)(x), tf.exp(x))
    np.testing.assert_array_equal(
        bounds.WeightedSum([1.0, -2.0])(x, 3 * x), -5 * x
    )
    np.testing.assert_array_equal(
        bounds.Concatenation()(x, 3 * x), [[-2, 4, -6, 12]]
    )


@pytest.mark.parametrize("slope", [-0.1, 1.5, float("nan")])
def test_slopes_of_leaky_relu_are_from_0_to_1(slope):
    with pytest.raises(InputError, match="`negative_slope` must be in"):
        bounds.LeakyReLU(slope)
