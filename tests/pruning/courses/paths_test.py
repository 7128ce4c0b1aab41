"""Weights that no image reaches, and those that reach no logit, are found."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from keras import layers

import hydra_tf as ht
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.channels.rules import has_kernel
from hydra_tf.pruning.courses.paths import weights_on_paths
from tests.pruning.shrinking import random_graphs


def conv(filters, size=3, **options):
    return layers.Conv2D(
        filters, size, padding="same", use_bias=False, **options
    )


def depthwise(multiplier=1):
    return layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=multiplier, use_bias=False
    )


def chain(x):
    x = layers.ReLU()(conv(6)(x))
    x = layers.BatchNormalization(center=False)(x)
    x = layers.AveragePooling2D(2)(layers.ReLU()(conv(5)(x)))
    x = layers.Permute((2, 1, 3))(layers.Dropout(0.5)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(7, activation="relu", use_bias=False)(x)


def residual(x):
    x = conv(5)(x)
    for _ in range(4):
        x = layers.Add()([x, conv(5)(layers.ReLU()(conv(5)(x)))])
    return layers.GlobalAveragePooling2D()(x)


def inverted_residual(x):
    x = conv(4)(x)
    for multiplier in (1, 2, 3):
        y = depthwise(multiplier)(conv(6, 1)(x))
        x = layers.Add()([x, conv(4, 1)(layers.ReLU()(y))])
    return layers.GlobalAveragePooling2D()(x)


def densely_connected(x):
    for _ in range(3):
        x = layers.Concatenate()([x, conv(3)(layers.ReLU()(x))])
    return layers.GlobalAveragePooling2D()(x)


def called_twice(x):
    first, second = conv(4), conv(4)
    x = layers.ReLU()(second(first(conv(4)(x))))
    x = layers.Conv2DTranspose(4, 2, strides=2, padding="same", use_bias=False)(
        x
    )
    return layers.GlobalAveragePooling2D()(second(first(x)))


def flattened(x):
    x = conv(5, strides=2)(conv(4)(x))
    x = layers.Reshape((3, 3 * x.shape[-1]))(x)
    x = layers.Conv1D(4, 2, use_bias=False)(x)
    return layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(x)])


def gated(x):
    x = conv(5)(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = conv(5, 1, activation="sigmoid")(conv(2, 1)(y))
    return layers.GlobalAveragePooling2D()(x * y)


def attention(x):
    x = layers.Reshape((25, 2))(x)
    x = layers.Dense(6, use_bias=False)(x)
    heads = layers.MultiHeadAttention(3, 2, use_bias=False)
    x = layers.LayerNormalization()(x + heads(x, x))
    return layers.GlobalAveragePooling1D()(x)


EXACT = [chain, residual, inverted_residual, densely_connected, called_twice]


def made(maker, seed=0):
    """Returns a network, all weights positive: no two paths cancel."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((5, 5, 2))
    x = maker(image)
    network = keras.Model(image, layers.Dense(3, use_bias=False)(x))
    for layer in kernels(network):
        layer.kernel.assign(tf.abs(layer.kernel) + 0.1)
    return network


def kernels(network):
    return [layer for layer in flatten_layers(network) if has_kernel(layer)]


def masks_of(network, density, seed):
    rng = np.random.default_rng(seed)
    return {
        id(layer): rng.uniform(size=layer.kernel.shape) < density
        for layer in kernels(network)
    }


def apply_masks(network, kept):
    for layer in kernels(network):
        layer.kernel.assign(layer.kernel * kept[id(layer)])


@pytest.mark.parametrize("maker", [*EXACT, flattened])
@settings(max_examples=6, deadline=None)
@given(density=st.floats(0.03, 0.6), seed=st.integers(0, 99))
def test_weights_on_paths_are_those_with_a_gradient(maker, density, seed):
    network = made(maker)
    kept = masks_of(network, density, seed)
    apply_masks(network, kept)
    on_paths = weights_on_paths(channel_flow(network), kept)
    image = tf.random.stateless_uniform((2, 5, 5, 2), (seed, 0), 0.1)
    with tf.GradientTape() as tape:
        logits = tf.reduce_sum(network(image))
    found = kernels(network)
    slopes = tape.gradient(logits, [layer.kernel.value for layer in found])
    for layer, slope in zip(found, slopes, strict=True):
        moves = kept[id(layer)] & (np.array(slope) != 0)
        if maker in EXACT:
            np.testing.assert_array_equal(on_paths[id(layer)], moves)
        else:  # Positions are not followed.
            assert not np.any(moves & ~on_paths[id(layer)])


@pytest.mark.parametrize("maker", [*EXACT, flattened, gated, attention])
def test_outputs_need_no_weights_off_all_paths(maker):
    network = made(maker)
    kept = masks_of(network, 0.15, seed=1)
    apply_masks(network, kept)
    on_paths = weights_on_paths(channel_flow(network), kept)
    images = tf.random.stateless_uniform((3, 5, 5, 2), (0, 0))
    before = network(images).numpy()
    apply_masks(network, on_paths)
    np.testing.assert_allclose(network(images), before, rtol=1e-5)
    assert any(np.any(kept[key] & ~on_paths[key]) for key in kept)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_network_is_followed(data):
    network = random_graphs.network(data.draw)
    density = data.draw(st.sampled_from([0.2, 1.0]))
    kept = masks_of(network, density, seed=0)
    on_paths = weights_on_paths(channel_flow(network), kept)
    assert on_paths.keys() == kept.keys()
    for key, each in on_paths.items():
        assert each.shape == kept[key].shape
        assert not np.any(each & ~kept[key])


def test_channels_that_only_a_bias_fills_are_on_no_path():
    network = made(chain)
    first, second, *_ = kernels(network)
    kept = masks_of(network, 1.1, seed=0)
    kept[id(first)][..., 2] = False
    on_paths = weights_on_paths(channel_flow(network), kept)
    read = np.ones(6, bool)
    read[2] = False
    np.testing.assert_array_equal(on_paths[id(second)].all((0, 1, 3)), read)
    np.testing.assert_array_equal(on_paths[id(second)].any((0, 1, 3)), read)


def test_layers_without_masks_lead_everywhere():
    network = ht.to_masked(made(chain))
    assert weights_on_paths(channel_flow(network), {}) == {}


def masked_sequence(x):
    x = layers.Flatten()(x)
    x = layers.Embedding(3, 4, mask_zero=True)(x)
    x = layers.Dense(6, use_bias=False)(x)
    return layers.GlobalAveragePooling1D()(x)


def shared_keys(x):
    x = layers.Dense(6, use_bias=False)(layers.Reshape((25, 2))(x))
    heads = layers.GroupQueryAttention(2, 4, 1, use_bias=False)
    return layers.GlobalAveragePooling1D()(heads(x, x))


def beside_constants(x):
    x = conv(3)(x)
    x = keras.ops.concatenate([x, np.ones((1, 5, 5, 2), "float32")], axis=-1)
    return layers.GlobalAveragePooling2D()(conv(4)(x))


@pytest.mark.parametrize(
    "maker", [masked_sequence, shared_keys, beside_constants]
)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 99))
def test_no_weight_with_a_gradient_is_off_all_paths(maker, seed):
    network = made(maker)
    kept = masks_of(network, 0.3, seed)
    apply_masks(network, kept)
    on_paths = weights_on_paths(channel_flow(network), kept)
    image = tf.random.stateless_uniform((1, 5, 5, 2), (seed, 0), 0.1, 2)
    found = kernels(network)
    slopes = []
    for scale in (1.0, 0.5):  # What does not move with the image reads none.
        with tf.GradientTape() as tape:
            logits = tf.reduce_sum(network(scale * image))
        slopes.append(
            tape.gradient(logits, [layer.kernel.value for layer in found])
        )
    for layer, one, other in zip(found, *slopes, strict=True):
        moves = kept[id(layer)] & (np.abs(one - other) > 1e-6)
        assert not np.any(moves & ~on_paths[id(layer)]), layer.name


@keras.saving.register_keras_serializable("paths_test")
class Holder(keras.layers.Layer):
    """Has a weight of its own, so that nobody looks inside."""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return self.scale * self.inner(x)


def test_layer_that_another_one_holds_is_on_the_paths_of_both():
    image = keras.Input((4,))
    shared = layers.Dense(5, use_bias=False)
    x = layers.Dense(4, use_bias=False)(image)
    network = keras.Model(
        image,
        [
            layers.Dense(2, use_bias=False)(shared(x)),
            layers.Dense(2, use_bias=False)(Holder(shared)(x)),
        ],
    )
    kept = masks_of(network, 1.1, seed=0)
    reader = next(
        call.operation
        for call in channel_flow(network).walk.calls
        if has_kernel(call.operation) and call.operation.kernel.shape == (5, 2)
    )
    kept[id(reader)][:] = False
    on_paths = weights_on_paths(channel_flow(network), kept)
    assert on_paths[id(shared)].all()
