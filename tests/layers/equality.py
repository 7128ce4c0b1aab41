"""Checks that every masked layer has to pass."""

from __future__ import annotations

import keras
import numpy as np

from hydra_tf.layers.masked_layer import MASK_ARGUMENTS


def random_inputs(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def check_equals_plain_layer(masked_class, arguments, input_shape):
    """The masked layer computes what the plain layer does with zeros in it."""
    inputs = random_inputs(input_shape)
    layer = masked_class(
        **arguments, density=0.4, bias_initializer="random_normal"
    )
    plain = masked_class.plain_class(**arguments)
    layer.build(input_shape)
    plain.build(input_shape)
    # Scores unrelated to the kernel: the mask is not the largest weights.
    layer.scores.assign(random_inputs(layer.scores.shape, seed=1))
    outputs = layer(inputs)
    mask = np.asarray(layer.mask)
    assert mask.sum() == -(-4 * mask.size // 10)
    assert tuple(layer.kernel.shape) == tuple(plain.kernel.shape)
    weights = [np.asarray(layer.kernel) * mask]
    if layer.use_bias:
        weights.append(np.asarray(layer.bias))
    plain.set_weights(weights)
    np.testing.assert_array_equal(outputs, plain(inputs))
    assert tuple(outputs.shape) == tuple(
        plain.compute_output_shape(input_shape)
    )


def check_config_round_trip(layer, input_shape, tmp_path):
    """Configuration and weights survive from_config and a .keras file."""
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    # Every argument of the plain layer is still there.
    plain_config = layer.plain_class(**plain_arguments(layer)).get_config()
    assert set(plain_config) <= set(config)
    assert set(MASK_ARGUMENTS) <= set(config)

    model = keras.Sequential([keras.Input(input_shape[1:]), layer])
    layer.scores.assign(random_inputs(layer.scores.shape, seed=2))
    path = str(tmp_path / "model.keras")
    model.save(path)
    loaded = keras.models.load_model(path)
    assert type(loaded.layers[0]) is type(layer)
    assert loaded.layers[0].phase == layer.phase
    assert float(loaded.layers[0].density) == float(layer.density)
    np.testing.assert_array_equal(loaded.layers[0].scores, layer.scores)
    np.testing.assert_array_equal(loaded.layers[0].mask, layer.mask)
    inputs = random_inputs(input_shape)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


def plain_arguments(layer):
    config = layer.get_config()
    for key in MASK_ARGUMENTS:
        del config[key]
    return config
