"""Scores start as the original system starts them."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.registry.scores import SCORES
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
    assert len(SCORES.names) == 8
    with pytest.raises(InputError, match="Did you mean 'magnitude'"):
        ht.init_scores(wide_model(), "magnitudes")


@pytest.mark.parametrize("share", [1.0, 0.7], ids=["one-hot", "soft"])
def test_snip_takes_the_classes_of_one_hot_and_soft_labels(share):
    images, classes = networks.images((6, 10, 10, 8)), np.arange(6)
    rows = np.eye(20)[classes] * share + (1 - share) / 20
    model, expected = wide_model(), wide_model()
    ht.init_scores(model, "snip", data=(images, rows))
    ht.init_scores(expected, "snip", data=(images, classes))
    for one, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(InputError, match="labels of data.*20"):
        ht.init_scores(model, "snip", data=(images, np.eye(30)[classes]))


def test_snip_without_data():
    with pytest.raises(InputError, match=r"data=\(images, labels\)"):
        ht.init_scores(wide_model(), "snip")


def channel_model(arrays, name):
    """A layer of the golden file whose input channels can be removed."""
    kernel = arrays[f"{name}_kernel"]
    arguments = {"use_bias": False, "name": "layer"}
    if kernel.ndim == 2:
        layer = keras.layers.Dense(kernel.shape[-1], **arguments)
        inputs = keras.Input((5,))
        before = keras.layers.Dense(kernel.shape[0])
    else:
        layer = keras.layers.Conv2D(
            kernel.shape[-1], kernel.shape[:2], **arguments
        )
        inputs = keras.Input((8, 8, 3))
        before = keras.layers.Conv2D(kernel.shape[2], 1)
    model = keras.Model(inputs, layer(before(inputs)))
    layer.set_weights([kernel])
    return ht.to_masked(model, granularity="channel")


@pytest.mark.parametrize("name", ["conv", "convsq", "dense"])
def test_channel_scores_equal_what_the_original_intends(name):
    arrays = golden.load("score_init")
    name = f"harp_channel_{name}"
    masked = channel_model(arrays, name)
    layer = masked.get_layer("layer")
    expected = arrays[f"{name}_intended_scores"]
    np.testing.assert_allclose(layer.scores, expected, atol=2e-6)
    ht.init_scores(masked, "random", seed=0)
    assert np.abs(np.asarray(layer.scores) - expected).max() > 0.1
    ht.init_scores(masked, "scaled")
    np.testing.assert_allclose(layer.scores, expected, atol=2e-6)
    ht.init_scores(masked, "magnitude")
    np.testing.assert_allclose(
        layer.scores, arrays[f"{name}_intended_l1"], rtol=1e-6
    )


def residual(granularity):
    """Channels of `stem` and `inner` are added; two layers read the sum."""
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(image)
    y = keras.layers.Conv2D(8, 3, padding="same", name="inner")(x)
    x = keras.layers.ReLU()(keras.layers.Add()([x, y]))
    x = keras.layers.Conv2D(5, 3, name="reader")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    model = keras.Model(image, keras.layers.Dense(10, name="logits")(x))
    return ht.to_masked(networks.shake(model), granularity=granularity)


# Layers whose weights make up the units of the sum, and the kernel's axis.
SHARED = {
    "channel": (("inner", "reader"), -2),
    "filter": (("stem", "inner"), -1),
}


def along(values, axis):
    values = np.asarray(values, np.float64)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


@pytest.mark.parametrize("granularity", SHARED)
def test_scores_of_a_group_are_of_all_its_weights(granularity):
    model = residual(granularity)
    names, axis = SHARED[granularity]
    layers = [model.get_layer(name) for name in names]
    norms = sum(
        np.abs(along(layer.kernel, axis)).sum(axis=1) for layer in layers
    )
    ht.init_scores(model, "magnitude")
    for layer in layers:
        np.testing.assert_allclose(layer.scores, norms, rtol=1e-6)
    ht.init_scores(model, "scaled")
    for layer in layers:
        np.testing.assert_allclose(
            layer.scores, np.sqrt(6) * norms / norms.max(), rtol=1e-6
        )


@pytest.mark.parametrize("granularity", SHARED)
def test_snip_of_a_group_is_what_its_channels_do_together(granularity):
    model = residual(granularity)
    names, axis = SHARED[granularity]
    images, labels = networks.images((4, 6, 6, 3)), np.arange(4)
    ht.set_phase(model, "prune")
    ht.set_density(model, 0.5)
    ht.init_scores(model, "snip", data=(images, labels))
    found = [np.asarray(model.get_layer(name).scores) for name in names]
    np.testing.assert_array_equal(found[0], found[1])

    # The derivative of the loss by a factor of all weights of a channel.
    ht.set_phase(model, "pretrain")
    kernels = {name: np.asarray(model.get_layer(name).kernel) for name in names}

    def loss(unit, factor):
        for name in names:
            kernel = np.copy(kernels[name])
            np.moveaxis(kernel, axis, 0)[unit] *= factor
            model.get_layer(name).kernel.assign(kernel)
        return float(
            keras.losses.SparseCategoricalCrossentropy(from_logits=True)(
                labels, model(images)
            )
        )

    step = 1e-2
    slopes = [
        (loss(unit, 1 + step) - loss(unit, 1 - step)) / (2 * step)
        for unit in range(8)
    ]
    largest = np.abs(slopes).max()
    np.testing.assert_allclose(found[0], np.abs(slopes), atol=0.01 * largest)


@pytest.mark.parametrize(
    ("method", "deviation"),
    [
        ("kaiming_uniform", 2**0.5),
        ("kaiming_normal", 2**0.5),
        ("xavier_uniform", 1.0),
        ("xavier_normal", 1.0),
    ],
)
def test_random_scores_of_channels_have_fans_of_one(method, deviation):
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(5000),
                keras.layers.Dense(2, name="logits"),
            ]
        ),
        granularity="channel",
    )
    ht.init_scores(model, method, seed=1)
    scores = np.asarray(model.get_layer("logits").scores)
    assert scores.shape == (5000,)
    np.testing.assert_allclose(scores.std(), deviation, rtol=0.05)


@pytest.mark.parametrize("method", SCORES.names)
def test_blocks_have_a_score_for_every_weight(method):
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Dense(8, name="first"),
                keras.layers.Dense(10, name="logits"),
            ]
        ),
        granularity="2:4",
    )
    weights = ht.to_masked(ht.strip_masks(model))
    for other in (weights, model):
        for layer in ht.masked_layers(other).values():
            layer.kernel.assign(
                np.random.default_rng(1).normal(size=layer.kernel.shape)
            )
        ht.init_scores(
            other, method, seed=1, data=(np.ones((2, 8)), np.arange(2))
        )
    for name, layer in ht.masked_layers(model).items():
        np.testing.assert_array_equal(
            layer.scores, weights.get_layer(name).scores
        )
        assert np.sum(layer.mask) == np.size(layer.mask) / 2
