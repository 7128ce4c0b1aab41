"""Weights that no image reaches, and those that reach no logit, are found."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.pruning.channels.flow import channel_flow
from hydra_tf.pruning.courses.paths import weights_on_paths

RNG = np.random.default_rng(0)


def chain():
    return keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            keras.layers.Conv2D(6, 3, padding="same", use_bias=False),
            keras.layers.ReLU(),
            keras.layers.Conv2D(5, 3, use_bias=False),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(7, activation="relu", use_bias=False),
            keras.layers.Dense(3, use_bias=False),
        ]
    )


def residual():
    image = keras.Input((5, 5, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    y = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = keras.layers.Conv2D(4, 1, use_bias=False)(y)
    x = keras.layers.Add()([x, y])
    x = keras.layers.Concatenate()([x, y])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, use_bias=False)(x))


@pytest.mark.parametrize("make", [chain, residual])
def test_weights_off_all_paths_change_no_output(make):
    keras.utils.set_random_seed(0)
    network = make()
    kept, layers = {}, {}
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            density = 0.08 if len(layer.kernel.shape) == 4 else 0.15
            mask = RNG.uniform(size=layer.kernel.shape) < density
            mask |= isinstance(layer, keras.layers.DepthwiseConv2D)
            # Positive, so that no two paths cancel and no unit sleeps.
            layer.kernel.assign(mask * RNG.uniform(1, 2, mask.shape))
            kept[id(layer)], layers[id(layer)] = mask, layer
    on_paths = weights_on_paths(channel_flow(network), kept)
    image = RNG.uniform(size=(1, 5, 5, 2)).astype("float32")
    before = network(image).numpy()
    found = 0
    for key, layer in layers.items():
        idle = kept[key] & ~on_paths[key]
        found += idle.sum()
        assert not np.any(on_paths[key] & ~kept[key])
        kernel = layer.kernel.numpy()
        layer.kernel.assign(np.where(idle, 0, kernel))
        np.testing.assert_array_equal(network(image), before)
        layer.kernel.assign(kernel)
        # Each of the others counts, where windows meet no border.
        for index in np.argwhere(on_paths[key])[:6]:
            changed = kernel.copy()
            changed[tuple(index)] = 0
            layer.kernel.assign(changed)
            if make is chain and len(kernel.shape) == 2:
                assert np.any(network(image).numpy() != before)
            layer.kernel.assign(kernel)
    assert found > 0


def test_layers_without_masks_lead_everywhere():
    network = ht.to_masked(chain())
    assert weights_on_paths(channel_flow(network), {}) == {}
