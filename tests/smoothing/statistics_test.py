import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import stats

from hydra_tf.errors import InputError
from hydra_tf.smoothing import statistics
from tests import golden


def test_lower_confidence_bound_matches_golden():
    arrays = golden.load("smoothing")
    bound = statistics.lower_confidence_bound(
        arrays["clopper/count"], arrays["clopper/n"], arrays["clopper/alpha"]
    )
    np.testing.assert_allclose(
        bound, arrays["clopper/lower_bound"], rtol=1e-9, atol=0
    )
    np.testing.assert_array_equal(bound < 0.5, arrays["clopper/abstain"])
    for column, sigma in enumerate(arrays["clopper/sigmas"]):
        np.testing.assert_allclose(
            statistics.certified_radius(bound, sigma),
            arrays["clopper/radius"][:, column],
            rtol=1e-9,
            atol=1e-12,
        )


def test_binomial_p_value_matches_golden():
    arrays = golden.load("smoothing")
    p_value = statistics.binomial_p_value(
        arrays["binom/count1"], arrays["binom/count2"]
    )
    np.testing.assert_allclose(
        p_value, arrays["binom/p_value"], rtol=1e-9, atol=0
    )
    np.testing.assert_array_equal(
        p_value > arrays["binom/alpha"], arrays["binom/abstain"]
    )


def test_bound_of_all_draws_is_the_root_of_alpha():
    # P(n of n) = p^n, and p^n = alpha at the bound.
    assert statistics.lower_confidence_bound(50, 50, 0.01) == pytest.approx(
        0.01 ** (1 / 50), rel=1e-12
    )
    assert statistics.lower_confidence_bound(0, 50, 0.01) == 0.0


@hypothesis.given(
    n=st.integers(1, 300), data=st.data(), alpha=st.floats(1e-6, 0.5)
)
def test_seeing_the_count_or_more_has_probability_alpha_at_the_bound(
    n, data, alpha
):
    count = data.draw(st.integers(1, n))
    bound = statistics.lower_confidence_bound(count, n, alpha)
    assert 0.0 < bound < count / n or count == n
    at_bound = stats.binom.sf(count - 1, n, bound)
    np.testing.assert_allclose(at_bound, alpha, rtol=1e-6)
    assert statistics.lower_confidence_bound(count - 1, n, alpha) < bound
    assert statistics.lower_confidence_bound(count, n, alpha / 2) < bound


@hypothesis.given(st.integers(0, 200), st.integers(0, 200))
def test_p_value_is_that_of_the_exact_binomial_test(count1, count2):
    ours = statistics.binomial_p_value(count1, count2)
    if count1 + count2 == 0:
        assert ours == 1.0
    else:
        theirs = stats.binomtest(count1, count1 + count2, 0.5).pvalue
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_radius_is_zero_where_nothing_is_proved():
    assert (
        statistics.certified_radius([0.0, 0.3, 0.5], 0.25).tolist() == [0] * 3
    )
    # Phi(1) = 0.841344746...
    np.testing.assert_allclose(
        statistics.certified_radius(0.8413447460685429, 0.25), 0.25, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("count", "n", "alpha", "message"),
    [
        (1, 0, 0.1, "`n` must be an integer >= 1"),
        (-1, 5, 0.1, "`count` must be from 0"),
        (6, 5, 0.1, "`count` must be from 0"),
        (1, 5, 0.0, "`alpha` must be between 0 and 1"),
        (1, 5, 1.0, "`alpha` must be between 0 and 1"),
        (1, 5, float("nan"), "`alpha` must be between 0 and 1"),
    ],
)
def test_arguments_out_of_range_are_refused(count, n, alpha, message):
    with pytest.raises(InputError, match=message):
        statistics.lower_confidence_bound(count, n, alpha)
