"""Fractions of a dataset: exact counts, every class, nested, seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf.data import selection


@pytest.mark.parametrize("fraction", [0.01, 0.07, 0.25, 0.5, 0.99])
def test_fraction_takes_the_exact_count_of_every_class(fraction):
    labels = np.repeat([0, 1, 2, 3], [100, 50, 40, 10])
    rows = selection.select_fraction(labels, fraction, seed=1)
    # 200 * fraction is an integer for all of these.
    assert len(rows) == round(200 * fraction)
    assert len(set(rows)) == len(rows)
    shares = np.bincount(labels[rows], minlength=4)
    assert np.all(np.abs(shares - fraction * np.bincount(labels)) <= 1)


def test_fraction_is_rounded_up_as_in_decimal_arithmetic():
    def count(fraction, total):
        labels = np.zeros(total, int)
        return len(selection.select_fraction(labels, fraction, seed=0))

    assert count(0.07, 100) == 7  # 0.07 * 100 is 7.000000000000001.
    assert count(0.071, 100) == 8
    assert count(1e-9, 100) == 1


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    seed=st.integers(0, 100),
)
def test_smaller_fraction_is_part_of_a_larger_one(labels, fractions, seed):
    labels = np.array(labels)
    few, many = (
        set(selection.select_fraction(labels, fraction, seed))
        for fraction in sorted(fractions)
    )
    assert few <= many


def test_fraction_depends_on_the_seed_only():
    labels = np.arange(100) % 10
    first = selection.select_fraction(labels, 0.3, seed=1)
    np.random.seed(9)
    again = selection.select_fraction(labels, 0.3, seed=1)
    other = selection.select_fraction(labels, 0.3, seed=2)
    np.testing.assert_array_equal(first, again)
    assert list(first) != list(other)
