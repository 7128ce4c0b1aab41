"""Computing on some rows."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.ops.rows import choose
from hydra_tf.ops.rows import per_row
from hydra_tf.ops.rows import row_indices
from hydra_tf.ops.rows import update_rows
from hydra_tf.ops.rows import weighted_mean


def test_chosen_rows_are_replaced_by_what_follows_from_them():
    updated = update_rows(
        tf.constant([True, False, True]),
        lambda factor, values, counts: (
            values * factor[:, None],
            counts + tf.shape(counts),
        ),
        (tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), tf.range(3)),
        (tf.constant([10.0, 20.0, 30.0]),),
    )
    np.testing.assert_array_equal(updated[0], [[10, 20], [3, 4], [150, 180]])
    np.testing.assert_array_equal(updated[1], [2, 1, 4])


@pytest.mark.parametrize("chosen", [[True, True], [False, False]])
def test_all_rows_and_none(chosen):
    (updated,) = update_rows(
        tf.constant(chosen), lambda x: (x + 1.0,), (tf.zeros([2, 3]),)
    )
    np.testing.assert_array_equal(updated, np.full((2, 3), chosen[0]))


def test_indices_of_rows_and_values_for_them():
    x = tf.zeros([2, 3, 1])
    np.testing.assert_array_equal(row_indices(x, None), [0, 1])
    assert row_indices(x, np.array([7, 5], np.int32)).dtype == tf.int64
    assert per_row(tf.constant([1, 2]), x).shape == (2, 1, 1)


def test_rows_and_values_are_chosen():
    one, other = tf.ones([2, 2]), tf.zeros([2, 2])
    rows = choose(tf.constant([True, False]), one, other)
    np.testing.assert_array_equal(rows, [[1, 1], [0, 0]])
    values = choose(tf.constant([[True, False]] * 2), one, other)
    np.testing.assert_array_equal(values, [[1, 0], [1, 0]])


def test_weighted_mean_divides_by_the_number_of_rows():
    values = tf.constant([1.0, 2.0, 6.0])
    assert float(weighted_mean(values)) == 3
    assert float(weighted_mean(values, np.array([3, 0, 0.5]))) == 2
