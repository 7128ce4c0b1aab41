"""Whole counts meet their target."""

import numpy as np
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf.pruning.counts import cut_in_proportion
from hydra_tf.pruning.counts import largest_first
from hydra_tf.pruning.counts import largest_weights_first


@given(
    st.lists(
        st.lists(st.integers(0, 5), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 40),
)
@settings(deadline=None)
def test_weights_are_chosen_as_units_of_equal_cost(values, number):
    vectors = [np.array(each, float) for each in values]
    counts = largest_weights_first(vectors, number)
    assert counts == largest_first(vectors, sum, number)
    size = sum(map(len, values))
    assert sum(counts) == min(max(number, len(values)), size)


def test_starved_vectors_take_from_the_least_of_the_others():
    vectors = [np.array([1.0]), np.array([5.0, 4.0]), np.array([9.0, 8.0, 7.0])]
    # The four largest are 9, 8, 7 and 5; the first needs one.
    assert largest_weights_first(vectors, 4) == [1, 1, 2]


@given(
    st.lists(
        st.tuples(st.integers(1, 10**7), st.integers(1, 50)),
        min_size=1,
        max_size=12,
    ),
    st.floats(0.0, 1.1),
)
# The fourth stays at its least, and may not be given more.
@example([(1, 1), (1, 1), (1, 1), (2, 1), (7, 2)], 0.5)
@settings(deadline=None)
def test_counts_are_cut_in_proportion(counts_and_prices, part):
    counts = [count for count, _ in counts_and_prices]
    prices = [price for _, price in counts_and_prices]

    def cost(values):
        return sum(v * p for v, p in zip(values, prices, strict=True))

    least = [1] * len(counts)
    budget = max(int(part * cost(counts)), cost(least))
    cut = cut_in_proportion(counts, least, cost, budget)
    assert cost(cut) <= budget
    if cost(counts) <= budget:
        assert cut == counts
        return
    # All lost the same part, up to one unit, unless only one is left.
    scales = [
        ((value - 1) / count, (value + 1) / count)
        for value, count in zip(cut, counts, strict=True)
        if value > 1
    ]
    if scales:
        assert max(low for low, _ in scales) <= min(h for _, h in scales)
    # Where each costs the same, the budget is used up.
    if len(set(prices)) == 1:
        assert budget - cost(cut) < prices[0]


def test_counts_are_cut_by_hand():
    # At 0.6 and at 0.7 of each; the last keeps its one.
    assert cut_in_proportion([10, 4, 1], [1, 1, 1], sum, 9) == [6, 2, 1]
    assert cut_in_proportion([10, 4, 1], [1, 1, 1], sum, 10) == [7, 2, 1]
    # At 0.75 both would get one more, but there is room for one.
    assert cut_in_proportion([8, 4, 1], [1, 1, 1], sum, 9) == [6, 2, 1]
    assert cut_in_proportion([10, 4, 1], [10, 1, 1], sum, 12) == [10, 1, 1]
