"""Another precision for a network that is already there."""

import keras
import numpy as np
import pytest

from hydra_tf.layers import FusedBatchNormalization
from hydra_tf.training import with_precision


def network():
    inputs = keras.Input((4, 4, 1))
    inner = keras.Sequential(
        [keras.layers.Input((4, 4, 1)), keras.layers.Conv2D(2, 3)], name="inner"
    )
    x = keras.layers.BatchNormalization()(inner(inputs))
    x = keras.layers.Lambda(lambda x: 2 * x)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_all_layers_change_and_weights_stay():
    model = network()
    model.layers[2].moving_mean.assign([1.0, 2.0])
    mixed = with_precision(model, "mixed_bfloat16")
    layers = [*mixed.layers, *mixed.get_layer("inner").layers]
    policies = {
        layer.dtype_policy.name for layer in layers if hasattr(layer, "bias")
    }
    assert policies == {"mixed_bfloat16"}
    for new, old in zip(mixed.weights, model.weights, strict=True):
        assert new.dtype == "float32"
        np.testing.assert_array_equal(new, old)
    images = np.ones((2, 4, 4, 1), np.float32)
    assert np.asarray(mixed(images)).dtype == "bfloat16"
    assert isinstance(mixed.layers[2], FusedBatchNormalization)
    back = with_precision(mixed, "float32")
    assert type(back.layers[2]) is keras.layers.BatchNormalization
    np.testing.assert_array_equal(back(images), model(images))


@pytest.mark.parametrize("precision", ["float32"])
def test_model_that_has_the_precision_is_returned(precision):
    model = network()
    assert with_precision(model, precision) is model


def test_model_without_configuration_is_returned_if_nothing_changes():
    class Unserialisable(keras.Model):
        def __init__(self, function):
            super().__init__()
            self.dense = keras.layers.Dense(2)
            self.function = function

        def call(self, inputs):
            return self.function(self.dense(inputs))

    model = Unserialisable(lambda x: 2 * x)
    model(np.ones((1, 3), "float32"))
    assert with_precision(model, "float32") is model
