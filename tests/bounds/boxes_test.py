"""Tests of boxes by their ends or by centre and radius."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.boxes import Interval

LOWER = tf.constant([[0.0, -2.0], [1.0, 3.0]], tf.float64)
BY_ENDS = Interval(LOWER, LOWER + 4)
BY_CENTER = Interval(
    center=LOWER + 2, radius=tf.fill([2, 2], tf.constant(2.0, tf.float64))
)


@pytest.mark.parametrize("box", [BY_ENDS, BY_CENTER], ids=["ends", "center"])
def test_boxes_are_the_same_in_either_form(box):
    assert box.has_center == (box is BY_CENTER)
    assert (box.batch, box.shape, box.dtype) == (2, (2,), tf.float64)
    np.testing.assert_array_equal(box.ends, [LOWER, LOWER + 4])
    box.compute_center()
    np.testing.assert_array_equal(box.center, LOWER + 2)
    np.testing.assert_array_equal(box.radius, np.full((2, 2), 2.0))
    image = box.of_image(tf.constant(1))
    np.testing.assert_array_equal(image.ends, [LOWER[1:], LOWER[1:] + 4])
