"""Any weight of any layer can be masked, wherever the layer is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests.pruning.networks import shake

layers = keras.layers


@keras.saving.register_keras_serializable(package="any_layer_test")
class Halved(layers.Dense):
    """A subclass that computes something else with the kernel."""

    def call(self, inputs, training=None):
        return super().call(inputs, training) / 2


@keras.saving.register_keras_serializable(package="any_layer_test")
class Bilinear(layers.Layer):
    """A layer of one's own, registered below."""

    def build(self, input_shape):
        size = input_shape[-1]
        self.form = self.add_weight(shape=(size, size))
        self.shift = self.add_weight(shape=(size,))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.form) * inputs + self.shift


ht.register_maskable(Bilinear, weights=["form"])


@keras.saving.register_keras_serializable(package="any_layer_test")
class Block(layers.Layer):
    """A layer that holds others, in attributes and in a list."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units, "relu")
        self.rest = [layers.Dense(units), Halved(units)]

    def call(self, inputs):
        x = self.first(inputs)
        for layer in self.rest:
            x = x + layer(x)
        return x

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="any_layer_test")
class Attend(layers.Layer):
    """Self-attention."""

    def __init__(self, grouped=False, **kwargs):
        super().__init__(**kwargs)
        self.grouped = grouped
        self.attention = (
            layers.GroupQueryAttention(4, 4, 2)
            if grouped
            else layers.MultiHeadAttention(2, 4)
        )

    def build(self, input_shape):
        self.attention.build(input_shape, input_shape)

    def call(self, inputs):
        return self.attention(inputs, inputs)

    def get_config(self):
        return {**super().get_config(), "grouped": self.grouped}


def ids():
    return np.arange(10).reshape(2, 5) % 7


# A layer, the shape of its input, and the names of the masked weights in it.
TABLE = {
    "dense": (lambda: layers.Dense(3), (4,), 1),
    "einsum": (
        lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)),
        (5, 4),
        1,
    ),
    "conv1d_causal": (
        lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2),
        (6, 2),
        1,
    ),
    "conv2d_grouped": (lambda: layers.Conv2D(4, 3, groups=2), (5, 5, 4), 1),
    "conv3d": (lambda: layers.Conv3D(2, 2), (3, 3, 3, 2), 1),
    "conv1d_transpose": (lambda: layers.Conv1DTranspose(2, 3), (4, 3), 1),
    "conv3d_transpose": (lambda: layers.Conv3DTranspose(2, 2), (2, 2, 2, 3), 1),
    "depthwise1d": (lambda: layers.DepthwiseConv1D(3), (5, 3), 1),
    "separable1d": (lambda: layers.SeparableConv1D(4, 3), (5, 3), 2),
    "separable2d": (lambda: layers.SeparableConv2D(4, 3), (5, 5, 3), 2),
    "simple_rnn": (lambda: layers.SimpleRNN(3), (5, 4), 2),
    "lstm": (lambda: layers.LSTM(3), (5, 4), 2),
    "lstm_unrolled": (lambda: layers.LSTM(3, unroll=True), (5, 4), 2),
    "gru": (lambda: layers.GRU(3, return_sequences=True), (5, 4), 2),
    "rnn_of_cells": (
        lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)]),
        (5, 4),
        4,
    ),
    "conv_lstm": (lambda: layers.ConvLSTM2D(2, 2), (3, 4, 4, 2), 2),
    "bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3)), (5, 4), 4),
    "time_distributed": (
        lambda: layers.TimeDistributed(layers.SeparableConv1D(2, 2)),
        (3, 5, 4),
        2,
    ),
    "attention": (lambda: Attend(), (5, 4), 4),
    "grouped_attention": (lambda: Attend(grouped=True), (5, 4), 4),
    "subclass": (lambda: Halved(3), (4,), 1),
    "registered": (lambda: Bilinear(), (4,), 1),
    "composite": (lambda: Block(4), (4,), 3),
}
EVERY_LAYER = pytest.mark.parametrize("case", TABLE)


def network(case):
    make, shape, _ = TABLE[case]
    keras.utils.set_random_seed(0)
    return shake(keras.Sequential([keras.Input(shape), make()], name="model"))


def inputs_of(model):
    shape = (2, *model.input_shape[1:])
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def drop(masked, density=0.4):
    """Masks that are not those of the largest weights."""
    ht.set_phase(masked, "prune")
    ht.set_density(masked, density)
    ht.init_scores(masked, "random", seed=1)
    return masked


@EVERY_LAYER
class TestEveryLayer:
    def test_masked_stripped_and_loaded(self, case, tmp_path):
        model = network(case)
        inputs = inputs_of(model)
        masked = ht.to_masked(model, strict=True)
        weights = ht.masked_layers(masked)
        assert len(weights) == TABLE[case][2]
        np.testing.assert_allclose(masked(inputs), model(inputs), atol=1e-5)
        drop(masked)
        outputs = masked(inputs)
        assert not np.allclose(outputs, model(inputs))
        # Every score gets a gradient.
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(masked(inputs)))
        scores = [view.scores.value for view in weights.values()]
        for gradient in tape.gradient(loss, scores):
            assert gradient is not None
            assert np.any(gradient)
        # The plain layer with zeros where masks are.
        for view in weights.values():
            assert isinstance(view.kernel, keras.Variable)
            assert np.mean(view.mask) == pytest.approx(0.4, abs=0.2)
        stripped = ht.strip_masks(masked)
        np.testing.assert_allclose(stripped(inputs), outputs, atol=1e-5)
        assert "hydra_tf" not in stripped.to_json()
        assert [type(each) for each in stripped._flatten_layers()] == [
            type(each) for each in model._flatten_layers()
        ]
        for old, new in zip(model.weights, stripped.weights, strict=True):
            kept = np.asarray(new) != 0
            np.testing.assert_array_equal(
                np.asarray(new), np.where(kept, np.asarray(old), 0)
            )
        # Files.
        path = str(tmp_path / "masked.keras")
        ht.set_phase(masked, "finetune")
        masked.save(path)
        loaded = keras.models.load_model(path)
        np.testing.assert_array_equal(loaded(inputs), masked(inputs))
        again = ht.masked_layers(loaded)
        assert list(again) == list(weights)
        for name, view in weights.items():
            assert again[name].phase == "finetune"
            np.testing.assert_array_equal(again[name].scores, view.scores)
        clone = keras.models.clone_model(masked)
        path = str(tmp_path / "masked.weights.h5")
        masked.save_weights(path)
        clone.load_weights(path)
        np.testing.assert_array_equal(clone(inputs), masked(inputs))
