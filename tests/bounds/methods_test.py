"""Tests of methods: what the table promises, and one of the user's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf.bounds.methods import Method
from hydra_tf.errors import InputError
from hydra_tf.registry.bounds import BOUNDS
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights

LABELS = np.array([0, 2])


@pytest.fixture(scope="module")
def network():
    return set_random_weights(
        keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(5, activation="relu"),
                keras.layers.Dense(3),
            ]
        )
    )


def linear(propagation, spec, upper):
    """The tighter ones of CROWN and of symbolic intervals."""
    ends, others = (
        propagation.bound(method, spec, upper=upper)
        for method in ("crown", "symbolic")
    )
    lower = tf.maximum(ends[0], others[0])
    return lower, tf.minimum(ends[1], others[1]) if upper else None


@pytest.mark.parametrize("name", BOUNDS.names)
def test_methods_of_the_table_bound_outputs_and_layers(network, name):
    assert isinstance(BOUNDS.load(name), Method)
    propagation = bounds.BoundPropagation(network, *random_box(network))
    for spec, count in ((None, 3), (bounds.margin_spec(LABELS, 3), 2)):
        lower, upper = propagation.bound(name, spec)
        assert lower.shape == upper.shape == (2, count)
        assert np.all(lower <= upper)
        alone, nothing = propagation.bound(name, spec, upper=False)
        np.testing.assert_allclose(alone, lower, rtol=1e-5, atol=1e-5)
        assert nothing is None
    (ends,) = propagation.intermediate(name).values()
    assert np.all(ends[0] <= ends[1])


def test_a_function_of_ones_own_is_a_method(network):
    own = f"{__name__}:linear"
    x = random_box(network, radius=0)[0] / 2 + 0.5
    margins = [
        bounds.margins(network, x, LABELS, 0.1, method)
        for method in (own, "crown", "symbolic")
    ]
    np.testing.assert_array_equal(margins[0], np.maximum(*margins[1:]))
    propagation = bounds.BoundPropagation(network, *random_box(network))
    with pytest.raises(InputError, match="does not tell bounds on"):
        propagation.intermediate(own)


def test_unknown_methods_are_refused(network):
    propagation = bounds.BoundPropagation(network, *random_box(network))
    with pytest.raises(InputError, match="'crown-ibp'.*mean 'crown_ibp'"):
        propagation.bound("crown-ibp")
