"""Tests of rows of coefficients and their products."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.bounds.coefficients import Coefficients
from hydra_tf.bounds.coefficients import row_sums

ONE, TWO = tf.constant([[[1.0, 2.0]]]), tf.constant([[[3.0, 5.0]]])


@pytest.mark.parametrize("batch", [1, 3])
def test_row_sums(batch):
    random = np.random.default_rng(0)
    rows = random.normal(size=(batch, 2, 4))
    weights = random.normal(size=(3, 4))
    np.testing.assert_allclose(
        row_sums(tf.constant(rows), tf.constant(weights)),
        np.sum(rows * weights[:, np.newaxis], axis=-1),
    )
    np.testing.assert_allclose(
        row_sums(tf.constant(rows), tf.constant(weights[0])),
        np.sum(rows * weights[0], axis=-1),
    )


def test_what_agrees_is_computed_once():
    calls = []
    both = Coefficients(ONE, ONE).map(lambda rows: calls.append(1) or 2 * rows)
    assert both.agree and len(calls) == 1
    total = both.plus(Coefficients(TWO, TWO))
    assert total.agree
    np.testing.assert_array_equal(total.lower, 2 * ONE + TWO)


@pytest.mark.parametrize("upper", [None, TWO])
def test_upper_bounds_are_kept_apart_or_left_out(upper):
    some = Coefficients(ONE, upper)
    assert not some.agree
    for ends in (some.map(tf.negative).ends, some.plus(some).ends):
        assert (ends[1] is None) == (upper is None)
    np.testing.assert_array_equal(
        some.plus(Coefficients(TWO, TWO)).lower, ONE + TWO
    )
