"""Tests of what is symbolic intervals' own: lines of one slope."""

import numpy as np
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.symbolic import parallel_lines
from tests.bounds.random_points import two_sided_network


def test_both_lines_have_the_slope_of_the_chord():
    ends = Interval(tf.constant([[-1.0, -3.0]]), tf.constant([[2.0, 1.0]]))
    lines = parallel_lines(LeakyReLU(), ends)
    np.testing.assert_allclose(lines.slope, [[2 / 3, 1 / 4]], rtol=1e-6)
    np.testing.assert_allclose(lines.intercept, [[2 / 3, 3 / 4]], rtol=1e-6)


def test_bounds_by_hand():
    # f = relu(x) + relu(-x) for -1 <= x <= 3, with chords of slope 3/4 and
    # 1/4, both with the intercept 3/4: 0.5 x up to 0.5 x + 1.5.
    model = two_sided_network()
    lower, upper = bounds.symbolic_interval(
        model, np.array([[-1.0]], np.float32), np.array([[3.0]], np.float32)
    )
    np.testing.assert_allclose([lower, upper], [[[-0.5]], [[3]]], rtol=1e-6)
