"""Tests of the tighter one of IBP and CROWN."""

import numpy as np
import pytest

from hydra_tf.bounds import BoundPropagation
from hydra_tf.bounds import margin_spec
from tests.bounds.random_points import random_box
from tests.bounds.random_points import residual_network


@pytest.fixture(scope="module")
def propagation():
    network = residual_network(small=True)
    return BoundPropagation(network, *random_box(network, radius=0.6))


def test_best_is_the_tighter_bound_output_by_output(propagation):
    for spec in (None, margin_spec([0, 1], 4)):
        (ibp_low, ibp_high), (crown_low, crown_high), best = (
            propagation.bound(method, spec)
            for method in ("ibp", "crown", "best")
        )
        np.testing.assert_array_equal(best[0], np.maximum(ibp_low, crown_low))
        np.testing.assert_array_equal(best[1], np.minimum(ibp_high, crown_high))
        lower, upper = propagation.bound("best", spec, upper=False)
        np.testing.assert_allclose(lower, best[0], rtol=1e-5, atol=1e-5)
        assert upper is None


def test_best_bounds_on_layers_are_the_tighter_ones(propagation):
    ibp, crown, best = map(propagation.intermediate, ("ibp", "crown", "best"))
    assert list(best) == list(crown)
    for name, (lower, upper) in best.items():
        np.testing.assert_array_equal(
            lower, np.maximum(ibp[name][0], crown[name][0])
        )
        np.testing.assert_array_equal(
            upper, np.minimum(ibp[name][1], crown[name][1])
        )
