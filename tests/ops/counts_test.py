"""Counts that densities stand for, as in exact arithmetic."""

import fractions
import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from hydra_tf import InputError
from hydra_tf.ops import counts
from hydra_tf.ops.counts import kept_count
from tests.ops.exact import exact_ceil


class TestKeptCount:
    @pytest.mark.parametrize(
        ("density", "size", "kept"),
        [
            (0.9, 10, 9),  # 0.9 * 10 exceeds 9 in binary
            (0.01, 36_864, 369),
            (1 - 0.7, 10, 3),
            (1 - 0.999, 1000, 1),
            (1.0, 7, 7),
            (1e-9, 7, 1),
            (0.1, 1, 1),
            (np.float32(0.9), 1000, 900),
            (np.float64(0.3), 10, 3),
            (fractions.Fraction(1, 3), 9, 3),
            (1, 5, 5),
            (0.07, 100, 7),  # 7.000000000000001
            (0.5, 3, 2),
        ],
    )
    def test_is_the_ceiling_of_the_exact_product(self, density, size, kept):
        assert kept_count(density, size) == kept

    @hypothesis.given(
        thousandths=st.integers(1, 1000), size=st.integers(1, 10_000_000)
    )
    def test_reads_a_density_as_the_decimal_it_was_written_as(
        self, thousandths, size
    ):
        density = thousandths / 1000
        assert kept_count(density, size) == exact_ceil(density, size)
        # The complement carries one more rounding error.
        sparsity = 1 - density
        if sparsity < 1:
            assert kept_count(1 - sparsity, size) == exact_ceil(density, size)

    @hypothesis.given(data=st.data(), size=st.integers(1, 10_000_000))
    def test_returns_the_count_that_a_ratio_was_made_of(self, data, size):
        count = data.draw(st.integers(1, size))
        assert kept_count(count / size, size) == count

    @pytest.mark.parametrize(
        "density", [0, -0.1, 1.0001, 50, math.nan, math.inf, None, "0.5", "x"]
    )
    def test_refuses_what_is_no_fraction(self, density):
        with pytest.raises(InputError, match=r"`density` must be in \(0, 1\]"):
            kept_count(density, 10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("density", "size"), [(0.9, 10), (0.3, 7), (1.0, 5)])
def test_a_tensor_counts_like_the_number(dtype, density, size):
    density = tf.constant(density, dtype)
    expected = kept_count(density.numpy(), size)
    count = tf.function(counts.kept_count_of_tensor)
    assert counts.kept_count_of_tensor(density, size) == expected
    assert count(density, size) == expected


@pytest.mark.parametrize("size", [1, 7, 49, 1000, 8_000_000])
def test_one_of_n_is_at_least_one(size):
    assert counts.keeps_one(1 / size, size)
    assert counts.keeps_one(1 - (1 - 1 / size), size)
    assert counts.keeps_one(np.float32(1 / size), size)
    assert not counts.keeps_one(0.999 / size, size)


@hypothesis.given(
    st.lists(
        st.tuples(st.integers(1, 1000), st.integers(1, 10**6)),
        min_size=1,
        max_size=60,
    )
)
def test_a_budget_is_the_whole_number_that_a_sum_is_meant_as(terms):
    total = sum(size * (count / 1000) for count, size in terms)
    exact = sum(size * fractions.Fraction(count, 1000) for count, size in terms)
    assert counts.whole_budget(total) == math.floor(exact)


def test_a_budget_does_not_reach_the_next_number():
    assert counts.whole_budget(2.999) == 2
    assert counts.whole_budget(1e10 - 0.1) == 1e10 - 1
