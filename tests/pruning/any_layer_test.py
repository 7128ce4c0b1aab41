"""Any weight of any layer can be masked, wherever the layer is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests.keras_version import needs_new_keras
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
    "wrapped": (
        lambda: layers.SpectralNormalization(layers.Dense(3)),
        (4,),
        1,
    ),
    "subclass": (lambda: Halved(3), (4,), 1),
    "registered": (lambda: Bilinear(), (4,), 1),
    "composite": (lambda: Block(4), (4,), 3),
}
# Seconds each, and no other path than those that stay.
SLOW = {
    "bidirectional",
    "conv1d_causal",
    "conv1d_transpose",
    "conv2d_grouped",
    "conv3d",
    "conv3d_transpose",
    "conv_lstm",
    "dense",
    "depthwise1d",
    "einsum",
    "grouped_attention",
    "gru",
    "lstm_unrolled",
    "rnn_of_cells",
    "separable1d",
    "simple_rnn",
    "time_distributed",
    "wrapped",
}
EVERY_LAYER = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW))
        for case in TABLE
    ],
)


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


def assert_strips(masked, inputs):
    outputs = drop(masked)(inputs)
    stripped = ht.strip_masks(masked)
    for one, other in zip(stripped(inputs), outputs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    return stripped


class TestEmbedding:
    @pytest.mark.parametrize("tied", [True, False])
    def test_entries(self, tied):
        tokens = keras.Input((5,), dtype="int32")
        embedding = layers.ReversibleEmbedding(7, 4, tied, name="embedding")
        model = keras.Model(tokens, embedding(embedding(tokens), reverse=True))
        masked = ht.to_masked(model)
        np.testing.assert_array_equal(masked(IDS), model(IDS))
        names = ["embedding/embeddings", "embedding/reverse_embeddings"]
        assert list(ht.masked_layers(masked)) == names[: 1 if tied else 2]
        assert_strips(masked, IDS)

    def test_rows(self):
        model = keras.Sequential(
            [
                keras.Input((5,), dtype="int32"),
                layers.Embedding(8, 4, name="embedding"),
                layers.Dense(2),
            ]
        )
        masked = ht.to_masked(model, density=0.5, granularity="channel")
        (table,) = (
            view
            for name, view in ht.masked_layers(masked).items()
            if name == "embedding/embeddings"
        )
        kept = np.asarray(table.mask).sum(axis=1)
        assert sorted(kept) == [0, 0, 0, 0, 4, 4, 4, 4]


IDS = np.arange(10).reshape(2, 5) % 7


def test_shared_layers_of_several_inputs_and_outputs():
    inputs = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    shared = layers.Dense(3, name="shared")
    both = layers.Concatenate()([shared(each) for each in inputs])
    outputs = [layers.Dense(2, name=name)(both) for name in ("one", "two")]
    model = keras.Model(inputs, outputs)
    masked = ht.to_masked(model)
    assert list(ht.masked_layers(masked)) == ["shared", "one", "two"]
    values = [np.ones((2, 4)), -np.ones((2, 4))]
    stripped = assert_strips(masked, values)
    assert len(stripped.weights) == 6


def test_in_place_and_back():
    model = network("separable2d")
    inputs = inputs_of(model)
    before = model(inputs)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), before, 1e-5)
    assert ht.to_masked(model, density=0.4, in_place=True) is model
    pruned = model(inputs)
    assert not np.allclose(pruned, before)
    # Functions that were compiled before are not used.
    np.testing.assert_allclose(model.predict(inputs, verbose=0), pruned, 1e-5)
    pruned = drop(model)(inputs)
    ht.strip_masks(model, in_place=True)
    np.testing.assert_allclose(model(inputs), pruned, atol=1e-5)
    assert "hydra_tf" not in model.to_json()
    assert all(v.trainable for v in model.weights)
    model.set_weights(model.get_weights())


def test_weights_stay_full_until_masked_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network("lstm")
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = inputs_of(model)
    masked = ht.to_masked(model)
    np.testing.assert_array_equal(
        tf.cast(masked(inputs), "float32"), tf.cast(model(inputs), "float32")
    )
    (kernel, _) = ht.masked_layers(masked).values()
    assert kernel.effective_kernel.dtype == tf.bfloat16
    assert kernel.exact_kernel.dtype == tf.float32
    # Stripped in place, the plain layer casts its weights again.
    ht.strip_masks(ht.to_masked(model, in_place=True), in_place=True)
    assert model(inputs).dtype == tf.bfloat16


def test_each_weight_has_a_density_and_a_mask_of_its_own():
    masked = ht.to_masked(network("lstm"))
    ht.set_density(masked, {"lstm_cell/kernel": 0.25})
    densities = {
        layer.name: layer.density for layer in ht.sparsity_report(masked).layers
    }
    assert densities == {
        "lstm_cell/kernel": 0.25,
        "lstm_cell/recurrent_kernel": 1.0,
    }
    ht.set_density(masked, ht.allocation.allocate(masked, 0.5, "erk"))
    assert ht.sparsity_report(masked).density == pytest.approx(0.5, abs=0.02)
    cell = masked.layers[0].cell
    with pytest.raises(AttributeError, match=r"view_of\('kernel'\)"):
        cell.mask  # noqa: B018
    assert cell.view_of("kernel").mask.shape == (4, 12)


def test_blocks_of_other_layers():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.SeparableConv2D(8, 3, name="separable"),
            layers.Reshape((-1, 8)),
            layers.LSTM(4),
            layers.Dense(2, name="dense"),
        ]
    )
    masked = ht.to_masked(model, granularity="2:4")
    assert list(ht.masked_layers(masked)) == [
        "separable/pointwise_kernel",
        "lstm_cell/kernel",
        "lstm_cell/recurrent_kernel",
        "dense",
    ]
    assert ht.sparsity_report(masked).density == 0.5


@pytest.mark.parametrize(
    ("masked_class", "arguments", "shape"),
    [
        (ht.layers.MaskedConv1DTranspose, (2, 3), (None, 4, 3)),
        (ht.layers.MaskedConv3D, (2, 2), (None, 3, 3, 3, 2)),
        (ht.layers.MaskedConv3DTranspose, (2, 2), (None, 2, 2, 2, 3)),
        (ht.layers.MaskedDepthwiseConv1D, (3,), (None, 5, 3)),
        (ht.layers.MaskedEinsumDense, ("ab,bc->ac", 6), (None, 4)),
        (ht.layers.MaskedEmbedding, (6, 4), (None, 5)),
        (ht.layers.MaskedGRUCell, (3,), (None, 4)),
        (ht.layers.MaskedLSTMCell, (3,), (None, 4)),
        (ht.layers.MaskedReversibleEmbedding, (6, 4, False), (None, 5)),
        (ht.layers.MaskedSeparableConv1D, (4, 3), (None, 5, 3)),
        (ht.layers.MaskedSeparableConv2D, (4, 3), (None, 5, 5, 3)),
        (ht.layers.MaskedSimpleRNNCell, (3,), (None, 4)),
    ],
)
def test_layers_by_hand(masked_class, arguments, shape):
    layer = masked_class(*arguments, density=0.5, phase="finetune")
    assert layer.density == 0.5
    assert masked_class.from_config(layer.get_config()).density == 0.5
    layer.build(shape)
    for name in layer.masked_weights:
        view = layer.view_of(name)
        assert np.mean(view.mask) == pytest.approx(0.5, abs=0.06)
        view.density = 0.25
    config = layer.get_config()
    again = masked_class.from_config(config)
    again.build(shape)
    assert again.get_config() == config
    for name, weight in again.masked_weights.items():
        assert float(weight.scoring.density) == 0.25
        assert weight.settings == layer.masked_weights[name].settings


def test_cell_by_hand_trains_in_every_phase():
    cell = ht.layers.MaskedLSTMCell(3, density=0.5)
    model = keras.Sequential([keras.Input((5, 4)), layers.RNN(cell)])
    trained = {
        "pretrain": ["kernel", "recurrent_kernel", "bias"],
        "prune": ["kernel_scores", "recurrent_kernel_scores"],
        "finetune": ["kernel", "recurrent_kernel", "bias"],
    }
    for phase, names in trained.items():
        ht.set_phase(model, phase)
        assert [v.name for v in model.trainable_variables] == names


WORDS = tf.constant([["a", "c"], ["b", "b"]])


@pytest.mark.parametrize(
    ("layer", "data", "inputs"),
    [
        (layers.Normalization, IDS[:, :2] * 9.0, IDS[:, :2] * 1.0),
        (
            lambda: layers.IntegerLookup(output_mode="multi_hot"),
            IDS[:, :2],
            IDS[:, 1:3],
        ),
        pytest.param(
            lambda: layers.StringLookup(output_mode="tf_idf"),
            WORDS,
            WORDS[::-1],
            marks=needs_new_keras,
        ),
    ],
)
def test_what_layers_adapted_to_is_copied(layer, data, inputs):
    adapted = layer()
    adapted.adapt(data)
    inputs = tf.convert_to_tensor(inputs)
    image = keras.Input((2,), dtype=inputs.dtype)
    x = layers.Dense(4)(adapted(image))
    model = keras.Model(image, layers.Dense(3)(x))
    masked = ht.to_masked(model, granularity="filter")
    for copy in (masked, ht.strip_masks(masked), ht.shrink(masked)):
        np.testing.assert_allclose(copy(inputs), model(inputs), atol=1e-5)
