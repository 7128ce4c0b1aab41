"""Rates become the densities of the original system, and come back."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.ops.rates import density_of_rate
from hydra_tf.ops.rates import rate_of_density
from tests import golden

ARRAYS = golden.load("harp")
LEAST = [float(least) for least in ARRAYS["rate_k_min"]]


@pytest.mark.parametrize("case", range(len(LEAST)))
def test_densities_and_their_slopes_are_the_originals(case):
    rates = tf.constant(ARRAYS["rate_act_k_score"])
    with tf.GradientTape() as tape:
        tape.watch(rates)
        densities = density_of_rate(rates, LEAST[case])
    slopes = tape.gradient(densities, rates)
    np.testing.assert_allclose(
        densities, ARRAYS["rate_act_rate"][case], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        slopes, ARRAYS["rate_act_grad"][case], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("case", range(len(LEAST)))
def test_rates_are_the_originals_where_neither_clips(case):
    least = LEAST[case]
    shares = (ARRAYS["rate_init_k"] - least) / (1 - least)
    inside = (shares >= 0.001) & (shares <= 0.99)
    assert inside.sum() > 20
    rates = [rate_of_density(k, least) for k in ARRAYS["rate_init_k"][inside]]
    np.testing.assert_allclose(
        rates, ARRAYS["rate_init_k_score"][case][inside], rtol=0, atol=2e-5
    )


def test_where_the_original_has_no_finite_rate_ours_is_the_nearest_density():
    least = float(ARRAYS["rate_init_edge_k_min"])
    densities = ARRAYS["rate_init_edge_k"]
    rates = [rate_of_density(density, least) for density in densities]
    assert np.all(np.isfinite(rates))
    # A thousandth of the range away from its ends, at most.
    np.testing.assert_allclose(
        density_of_rate(tf.constant(rates), least),
        np.clip(densities, least + 0.0009, 1 - 0.0009),
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize("least", [0.0, 0.001, 0.05])
def test_a_density_comes_back_from_its_rate(least):
    for density in (0.06, 0.1, 0.25, 0.5, 0.99):
        rate = tf.constant(rate_of_density(density, least))
        assert float(density_of_rate(rate, least)) == pytest.approx(
            density, rel=1e-5
        )


@pytest.mark.parametrize("least", [-0.1, 1.0, True, "0.1", None])
def test_a_least_density_outside_its_range_is_a_clear_error(least):
    with pytest.raises(InputError, match=r"`min_density` must be in \[0, 1\)"):
        rate_of_density(0.5, least)


@pytest.mark.parametrize("density", [0.0, 1.5, float("nan")])
def test_a_density_outside_its_range_is_a_clear_error(density):
    with pytest.raises(InputError, match=r"`density` must be in \(0, 1\]"):
        rate_of_density(density, 0.01)
