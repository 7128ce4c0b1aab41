"""Densities that a single layer learns."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import InputError
from hydra_tf import kept_count
from hydra_tf import layers
from tests.layers.equality import random_inputs


def dense_layer(phase="prune", **arguments):
    layer = layers.MaskedDense(5, phase=phase, name="dense", **arguments)
    layer.build((None, 6))
    layer.scores.assign(random_inputs(layer.scores.shape))
    return layer


def trained(layer):
    return {variable.name for variable in layer.trainable_variables}


@pytest.mark.parametrize("granularity", ["weight", "channel", "filter"])
def test_a_density_begins_and_ends_to_be_learned(granularity):
    layer = dense_layer(granularity=granularity, density=0.9)
    assert layer.rate is None
    assert layer.min_density is None
    layer.learn_density(0.1, 0.4)
    assert layer.min_density == 0.1
    assert layer.rate.shape == ()
    assert layer.rate.dtype == "float32"
    np.testing.assert_allclose(layer.live_density, 0.4, rtol=1e-6)
    assert float(layer.density) == 0.9  # the one that does not train
    assert np.sum(layer.mask) in (
        {12, 13}
        if granularity == "weight"
        else {kept_count(0.4, layer.num_units) * 30 // layer.num_units}
        | {(kept_count(0.4, layer.num_units) + 1) * 30 // layer.num_units}
    )
    rate = layer.rate
    layer.learn_density(0.2, 0.6)
    assert layer.rate is rate
    np.testing.assert_allclose(layer.live_density, 0.6, rtol=1e-6)
    layer.stop_learning_density(0.5)
    assert layer.rate is None
    assert layer.min_density is None
    assert trained(layer) == {"scores"}
    assert float(layer.live_density) == float(layer.density) == 0.5


@pytest.mark.parametrize(
    ("learns", "names"),
    [
        ("both", {"scores", "rate"}),
        ("scores", {"scores"}),
        ("rates", {"rate"}),
    ],
)
def test_what_trains(learns, names):
    layer = dense_layer(learns=learns)
    assert trained(layer) == {"scores"}  # no rate yet
    layer.learn_density(0.1, 0.4)
    assert trained(layer) == names
    layer.phase = None
    assert trained(layer) == names | {"kernel", "bias"}
    for phase in ("pretrain", "finetune"):
        layer.phase = phase
        assert trained(layer) == {"kernel", "bias"}
    layer.learns = "rates"
    assert trained(layer) == {"kernel", "bias"}
    layer.phase = "prune"
    assert trained(layer) == {"rate"}
    layer.trainable = False
    assert not trained(layer)


def test_a_density_learned_from_the_start():
    layer = dense_layer(density=0.4, min_density=0.1, learns="rates")
    np.testing.assert_allclose(layer.live_density, 0.4, rtol=1e-6)
    again = layers.MaskedDense.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again.build((None, 6))
    assert again.min_density == 0.1
    assert float(again.rate) == float(layer.rate)


def test_the_finetune_mask_follows_the_rate():
    layer = dense_layer("finetune")
    layer.learn_density(0.0, 0.5)
    for rate in (-2.0, 0.0, 3.0):
        layer.rate.assign(rate)
        assert np.sum(layer.mask) == np.ceil(30 / (1 + np.exp(-rate)))


def test_expected_density_is_the_live_one_and_has_its_slope():
    layer = dense_layer()
    layer.density = 0.3
    np.testing.assert_allclose(layer.expected_density(), 0.3, rtol=1e-6)
    layer.learn_density(0.1, 0.4)
    with tf.GradientTape() as tape:
        value = layer.expected_density()
    sigmoid = (0.4 - 0.1) / 0.9
    np.testing.assert_allclose(value, 0.4, rtol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(value, layer.rate.value),
        0.9 * sigmoid * (1 - sigmoid),
        rtol=1e-5,
    )
    np.testing.assert_allclose(layer.expected_density(0.7), 0.7, rtol=1e-6)


def test_wrong_densities_to_learn_are_clear_errors():
    layer = dense_layer()
    for least, density in ((1.0, 0.5), (0.1, 0.0), (-0.1, 0.5)):
        with pytest.raises(InputError, match="density` must be in"):
            layer.learn_density(least, density)
    with pytest.raises(InputError, match="`learns` must be one of"):
        layer.learns = "everything"
    assert layer.rate is None
    layer.learn_density(0.1, 0.5)
    with pytest.raises(InputError, match="`density` must be in"):
        layer.stop_learning_density(1.5)
    assert layer.rate is not None
