"""Scores start as the original system starts them."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.pruning.scores import METHODS
from tests import golden
from tests import tiny_net
from tests.pruning import networks


def golden_layer(arrays, name):
    kernel = arrays[f"{name}_kernel"]
    if kernel.ndim == 2:
        layer = keras.layers.Dense(kernel.shape[-1], use_bias=False)
        inputs = keras.Input(kernel.shape[:1])
    else:
        layer = keras.layers.Conv2D(
            kernel.shape[-1], kernel.shape[:2], use_bias=False
        )
        inputs = keras.Input((8, 8, kernel.shape[2]))
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([kernel])
    return model


@pytest.mark.parametrize(
    "name", ["conv4x4", "conv3x3", "conv1x1", "dense", "harp_weight_conv"]
)
def test_scaled_scores_equal_the_original(name):
    arrays = golden.load("score_init")
    masked = ht.to_masked(golden_layer(arrays, name))
    (layer,) = ht.masked_layers(masked).values()
    if f"{name}_fan_in" in arrays:
        assert layer.fan_in == arrays[f"{name}_fan_in"]
    np.testing.assert_allclose(
        layer.scores, arrays[f"{name}_scores"], atol=2e-6
    )
    layer.scores.assign(np.zeros(layer.scores.shape))
    ht.init_scores(masked, "scaled")
    np.testing.assert_allclose(
        layer.scores, arrays[f"{name}_scores"], atol=2e-6
    )


@pytest.mark.parametrize("phase", [None, "pretrain", "prune", "finetune"])
def test_snip_equals_the_original_in_every_phase(phase):
    arrays = golden.load("snip")
    masked = ht.to_masked(tiny_net.tiny_net(arrays))
    for name in tiny_net.LAYERS:
        masked.get_layer(name).scores.assign(arrays[f"{name}_scores"])
    if phase is not None:
        ht.set_phase(masked, phase)
    ht.set_density(masked, float(arrays["k"]))
    ht.init_scores(masked, "snip", data=(arrays["x"], arrays["y"]))
    for name in tiny_net.LAYERS:
        layer = masked.get_layer(name)
        expected = arrays[f"snip_{name}_scores"]
        np.testing.assert_allclose(
            layer.scores, expected, atol=1e-4 * expected.max()
        )
        assert (np.asarray(layer.scores) == 0).sum() == arrays[
            f"snip_{name}_zero_count"
        ]
        assert layer.phase == phase
        if phase != "pretrain":
            np.testing.assert_array_equal(
                layer.mask, arrays[f"snip_{name}_mask"]
            )


def wide_model(seed=0):
    keras.utils.set_random_seed(seed)
    return ht.to_masked(
        keras.Sequential(
            [
                keras.Input((10, 10, 8)),
                keras.layers.Conv2D(64, 3, name="conv"),
                keras.layers.Flatten(),
                keras.layers.Dense(20, name="dense"),
            ]
        )
    )


FANS = {"conv": (72, 576), "dense": (4096, 20)}


@pytest.mark.parametrize(
    ("method", "scale", "mode"),
    [
        ("kaiming_uniform", 2, "in"),
        ("kaiming_normal", 2, "in"),
        ("xavier_uniform", 1, "average"),
        ("xavier_normal", 1, "average"),
    ],
)
def test_random_scores_have_the_variance_of_their_name(method, scale, mode):
    model = wide_model()
    ht.init_scores(model, method, seed=3)
    for name, layer in ht.masked_layers(model).items():
        fan_in, fan_out = FANS[name]
        fan = fan_in if mode == "in" else (fan_in + fan_out) / 2
        scores = np.asarray(layer.scores)
        deviation = np.sqrt(scale / fan)
        np.testing.assert_allclose(scores.std(), deviation, rtol=0.05)
        assert abs(scores.mean()) < 0.05 * deviation
        limit = np.sqrt(3) * deviation
        largest = np.abs(scores).max()
        if method.endswith("uniform"):
            assert 0.99 * limit < largest <= limit
        else:
            assert largest > 1.5 * limit  # not truncated


def test_random_scores_are_uniform():
    model = wide_model()
    ht.init_scores(model, "random", seed=3)
    for layer in ht.masked_layers(model).values():
        scores = np.asarray(layer.scores)
        assert 0 <= scores.min() < 0.01
        assert 0.99 < scores.max() < 1
        np.testing.assert_allclose(scores.mean(), 0.5, atol=0.02)


def test_magnitude_scores():
    model = wide_model()
    ht.init_scores(model, "magnitude")
    for layer in ht.masked_layers(model).values():
        np.testing.assert_array_equal(layer.scores, np.abs(layer.kernel))


def test_scaled_and_magnitude_scores_make_the_same_mask():
    masks = []
    for method in ("scaled", "magnitude"):
        model = ht.to_masked(networks.multi_branch(), density=0.3)
        ht.init_scores(model, method)
        masks.append([layer.mask for layer in ht.masked_layers(model).values()])
    for one, other in zip(*masks, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", ["random", "kaiming_normal"])
def test_seed_decides_and_layers_differ(method):
    def scores(seed):
        model = ht.to_masked(
            keras.Sequential(
                [keras.Input((6,))] + [keras.layers.Dense(6) for _ in range(2)]
            )
        )
        ht.init_scores(model, method, seed=seed)
        return [
            np.asarray(layer.scores)
            for layer in ht.masked_layers(model).values()
        ]

    one, two = scores(5)
    np.testing.assert_array_equal(scores(5), [one, two])
    assert not np.array_equal(one, two)
    assert not np.array_equal(scores(6)[0], one)


def test_constant_mask_follows_new_scores():
    model = ht.to_masked(networks.sequential(), density=0.3)
    ht.set_phase(model, "finetune")
    ht.init_scores(model, "random", seed=0)
    for layer in ht.masked_layers(model).values():
        np.testing.assert_array_equal(
            layer.mask, ht.topk_mask(np.asarray(layer.scores), 0.3)
        )


def test_unknown_method():
    assert len(METHODS) == 8
    with pytest.raises(InputError, match="Did you mean 'magnitude'"):
        ht.init_scores(wide_model(), "magnitudes")


def test_snip_without_data():
    with pytest.raises(InputError, match=r"data=\(images, labels\)"):
        ht.init_scores(wide_model(), "snip")
