"""Masked layers are found wherever they are."""

import keras

from hydra_tf import layers
from hydra_tf.layers.traversal import find_masked


class Holder(keras.layers.Layer):
    """A custom layer that holds a masked one in a list."""

    def __init__(self):
        super().__init__()
        self.inner = [layers.MaskedDense(3)]

    def build(self, input_shape):
        self.inner[0].build(input_shape)

    def call(self, inputs):
        return self.inner[0](inputs)


def test_each_built_layer_is_found_once():
    shared = layers.MaskedDense(3)
    holder = Holder()
    inner = keras.Sequential([keras.Input((3,)), shared, holder])
    model = keras.Sequential([keras.Input((3,)), shared, inner])
    found = find_masked(model, inner, layers.MaskedDense(2))
    assert [id(each) for each in found] == [id(shared), id(holder.inner[0])]
