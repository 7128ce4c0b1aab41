"""Another precision for a network that is already there."""

import keras
import numpy as np
import pytest

from hydra_tf.errors import InputError
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
    with pytest.raises(InputError, match="'.*' .Unserialisable. can't be reb"):
        with_precision(model, "mixed_bfloat16")


class Scaled(keras.layers.Layer):
    """Of a class that nothing knows by name."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, inputs):
        return 2 * self.dense(inputs)


class Subclassed(keras.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.scaled = Scaled(units)

    def call(self, inputs):
        return self.scaled(inputs)

    def get_config(self):
        return {"units": self.units, "name": self.name}


def functional():
    inputs = keras.Input((3,))
    return keras.Model(inputs, Scaled(2)(inputs))


@pytest.mark.parametrize("make", [functional, lambda: Subclassed(2)])
def test_classes_need_not_be_registered(make):
    model = make()
    inputs = np.ones((2, 3), np.float32)
    expected = model(inputs)
    mixed = with_precision(model, "mixed_bfloat16")
    assert mixed(inputs).dtype == "bfloat16"
    assert {each.dtype for each in mixed.weights} == {"float32"}
    np.testing.assert_array_equal(
        with_precision(mixed, "float32")(inputs), expected
    )
