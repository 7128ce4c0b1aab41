"""Tests of what operations make of boxes."""

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.intervals import apply
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Scale
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.products import Product

BOX = Interval(tf.constant([[-1.0, 2.0]]), tf.constant([[3.0, 4.0]]))


def check(operation, lower, upper):
    inputs = [BOX, BOX] if not isinstance(operation, UNARY) else [BOX]
    box = apply(operation, inputs)
    np.testing.assert_allclose(box.lower, [lower])
    np.testing.assert_allclose(box.upper, [upper])


UNARY = (Scale, LeakyReLU, Monotone)


def test_intervals_by_hand():
    check(Scale(-2.0, 1.0), [-5, -7], [3, -3])
    check(LeakyReLU(0.5), [-0.5, 2], [3, 4])
    check(Monotone(tf.exp), np.exp([-1, 2]), np.exp([3, 4]))
    check(WeightedSum([1.0, -1.0]), [-4, -2], [4, 2])
    check(Concatenation(-1), [-1, 2, -1, 2], [3, 4, 3, 4])
    check(Product(), [-3, 4], [9, 16])
