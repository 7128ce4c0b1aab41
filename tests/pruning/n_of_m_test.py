"""Networks that keep N of every M consecutive input channels."""

import keras
import numpy as np
import pytest
from keras import layers

import hydra_tf as ht
from hydra_tf import InputError
from hydra_tf.ops.masks import n_of_m_mask
from tests.pruning import networks

PATTERNS = pytest.mark.parametrize("granularity", ["2:4", "4:8"])
INPUTS = networks.images((4, 8, 8, 3))
LABELS = np.arange(4)


def network(width=8):
    image = keras.Input((8, 8, 3))
    x = layers.Rescaling(2.0, -1.0)(image)
    x = layers.Conv2D(8, 3, padding="same", name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(width, 3, strides=2, name="conv")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = layers.Flatten()(x)
    return networks.shake(
        keras.Model(image, layers.Dense(10, name="logits")(x))
    )


def blocks(layer, m):
    """The mask with one axis of blocks and one of their entries in front."""
    mask = np.asarray(layer.mask)
    if isinstance(layer, layers.Conv2DTranspose):
        mask = mask.swapaxes(-1, -2)
    mask = np.moveaxis(mask, -2, 0)
    return mask.reshape(-1, m, *mask.shape[1:])


@PATTERNS
def test_every_block_keeps_its_largest_scores(granularity):
    n, m = map(int, granularity.split(":"))
    model = ht.to_masked(network(), granularity=granularity)
    masked = ht.masked_layers(model)
    assert list(masked) == ["conv", "up", "logits"]
    assert type(model.get_layer("stem")) is layers.Conv2D
    assert type(model.get_layer("depthwise")) is layers.DepthwiseConv2D
    ht.init_scores(model, "random", seed=1)
    expected = None
    for phase in ("prune", "finetune"):
        ht.set_phase(model, phase)
        for layer in masked.values():
            np.testing.assert_array_equal(blocks(layer, m).sum(axis=1), n)
            np.testing.assert_array_equal(
                layer.mask,
                n_of_m_mask(
                    layer.scores.value, n, m, -1 if layer.name == "up" else -2
                ),
            )
        outputs = model(INPUTS)
        expected = outputs if expected is None else expected
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(
        ht.strip_masks(model)(INPUTS), expected, atol=1e-5
    )
    report = ht.sparsity_report(model)
    assert report.density == 0.5
    assert report.kept * 2 == report.weights == 576 + 128 + 1440
    assert report.layers[0].units is None


@pytest.mark.parametrize("method", ["scaled", "random", "snip"])
def test_scores_of_any_method(method):
    model = ht.to_masked(network(), granularity="2:4")
    ht.init_scores(model, method, seed=1, data=(INPUTS, LABELS))
    for layer in ht.masked_layers(model).values():
        assert layer.scores.shape == layer.kernel.shape
        assert np.count_nonzero(layer.scores) > layer.scores.value.shape[-1]
        np.testing.assert_array_equal(blocks(layer, 4).sum(axis=1), 2)


def test_scaled_scores_keep_the_largest_weights():
    model = ht.to_masked(network(), granularity="2:4")
    for layer in ht.masked_layers(model).values():
        axis = -1 if layer.name == "up" else -2
        np.testing.assert_array_equal(
            layer.mask, n_of_m_mask(layer.kernel.value, 2, 4, axis)
        )


def test_scores_train():
    model = ht.to_masked(network(), granularity="2:4")
    before = np.asarray(model.get_layer("conv").scores)
    ht.set_phase(model, "prune")
    robust = ht.RobustModel(model, ht.objectives.Natural())
    robust.compile(ht.training.SGD(0.1))
    robust.fit(INPUTS, LABELS, epochs=2, verbose=0)
    assert not np.array_equal(model.get_layer("conv").scores, before)
    for layer in ht.masked_layers(model).values():
        np.testing.assert_array_equal(blocks(layer, 4).sum(axis=1), 2)


def test_file(tmp_path):
    model = ht.to_masked(network(), granularity="2:4")
    ht.init_scores(model, "random", seed=1)
    ht.set_phase(model, "finetune")
    model.save(str(tmp_path / "model.keras"))
    loaded = keras.models.load_model(str(tmp_path / "model.keras"))
    assert loaded.get_layer("conv").granularity == "2:4"
    np.testing.assert_array_equal(loaded(INPUTS), model(INPUTS))


def test_layer_that_reads_the_image_is_masked_if_m_divides_its_channels():
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, name="stem")(image)
    x = layers.Dense(3, name="logits")(layers.GlobalMaxPooling2D()(x))
    model = ht.to_masked(keras.Model(image, x), granularity="2:4")
    assert list(ht.masked_layers(model)) == ["stem", "logits"]


def test_dense_layer_that_reads_the_image_stays_plain():
    model = ht.to_masked(
        keras.Sequential(
            [
                keras.Input((3, 3, 1)),
                layers.Flatten(),
                layers.Dense(8, "relu", name="first"),
                layers.Dense(3, name="logits"),
            ]
        ),
        granularity="2:4",
    )
    assert list(ht.masked_layers(model)) == ["logits"]


def test_channels_that_m_does_not_divide_are_a_clear_error():
    with pytest.raises(
        InputError,
        match=r"`granularity='4:8'` needs input channels in blocks of 8: layer "
        r"'up' has 6; leave it out with `exclude=\['up'\]`",
    ):
        ht.to_masked(network(width=6), granularity="4:8")
    model = ht.to_masked(network(width=6), ["up"], granularity="4:8")
    assert list(ht.masked_layers(model)) == ["conv", "logits"]


def test_the_density_is_n_of_m():
    model = ht.to_masked(network(), granularity="2:4", density=0.1)
    for layer in ht.masked_layers(model).values():
        assert float(layer.density) == 0.5
    ht.set_density(model, 0.5)
    for density in (0.25, 1.0, {"conv": 0.3}):
        with pytest.raises(InputError, match="of granularity 2:4 is 0.5"):
            ht.set_density(model, density)
    with pytest.raises(InputError, match="no density to learn"):
        ht.learn_densities(model, 0.5)
    assert ht.sparsity_report(model).density == 0.5


def test_unknown_granularity_is_a_clear_error():
    for granularity in ("channels", "4:2", None):
        with pytest.raises(InputError, match="`granularity` must be"):
            ht.to_masked(network(), granularity=granularity)
