"""Pruning and shrinking inside composite layers and subclassed models."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.flops import flops_by_layer
from hydra_tf.pruning.flops import model_flops
from tests.pruning import networks

layers = keras.layers
IMAGES = networks.images((3, 8, 8, 1))


@keras.saving.register_keras_serializable(package="composites_test")
class Mlp(layers.Layer):
    """Has no configuration, as layers that others make have none."""

    def build(self, input_shape):
        self.up = layers.Dense(10, activation="gelu", name="up")
        self.down = layers.Dense(12, name="down")
        self.up.build(input_shape)
        self.down.build((None, None, 10))

    def call(self, x):
        return self.down(self.up(x))

    def get_config(self):
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="composites_test")
class Block(layers.Layer):
    """A block of a ViT, as users write it."""

    def build(self, input_shape):
        self.before = layers.LayerNormalization(name="before")
        self.attention = layers.MultiHeadAttention(4, 3, name="attention")
        self.between = layers.LayerNormalization(name="between")
        self.mlp = Mlp(name="mlp")
        self.drop = layers.Dropout(0.1)
        self.before.build(input_shape)
        self.attention.build(input_shape, input_shape)
        self.between.build(input_shape)
        self.mlp.build(input_shape)

    def call(self, x, training=None):
        y = self.before(x)
        x = x + self.attention(y, y, training=training)
        y = self.mlp(self.between(x))
        return x + self.drop(y, training=training)


@keras.saving.register_keras_serializable(package="composites_test")
class Residual(layers.Layer):
    """Convolutions, of which one is read in a branch."""

    def build(self, input_shape):
        self.first = layers.Conv2D(6, 3, padding="same", name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.second = layers.Conv2D(5, 3, padding="same", name="second")
        self.first.build(input_shape)
        self.norm.build((*input_shape[:-1], 6))
        self.second.build((*input_shape[:-1], 6))

    def call(self, x):
        return x + self.second(keras.ops.relu(self.norm(self.first(x))))


@keras.saving.register_keras_serializable(package="composites_test")
class Network(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stem = layers.Conv2D(12, 2, strides=2, name="stem")
        self.tokens = layers.Reshape((16, 12))
        self.block = Block(name="block")
        self.head = layers.Dense(3, name="head")

    def call(self, images):
        x = self.block(self.tokens(self.stem(images)))
        return self.head(keras.ops.mean(x, axis=1))


def vit(blocks=1):
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(12, 2, strides=2, name="stem")(image)
    x = layers.Reshape((16, 12))(x)
    for number in range(blocks):
        x = Block(name=f"block{number}")(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dense(3, name="logits")(x)
    return networks.shake(keras.Model(image, x))


def convolutional():
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(5, 3, name="stem")(image)
    x = layers.GlobalMaxPooling2D()(Residual(name="residual")(x))
    x = layers.Dense(3, name="logits")(x)
    return networks.shake(keras.Model(image, x))


def subclassed():
    model = Network(name="network")
    model(IMAGES)
    return networks.shake(model)


def pruned(plain, granularity, **settings):
    """A masked copy that keeps half, at random."""
    model = ht.to_masked(plain, granularity=granularity, **settings)
    rng = np.random.default_rng(0)
    for layer in ht.masked_layers(model).values():
        if layer.prunable:
            layer.scores.assign(rng.normal(size=layer.scores.shape))
    ht.set_density(model, 0.5)
    return model


@pytest.mark.parametrize(
    ("make", "granularity", "path", "size"),
    [
        (vit, "head", "attention", {"num_heads": 2}),
        pytest.param(vit, "neuron", "up", {"units": 5}, marks=pytest.mark.slow),
        (convolutional, "filter", "first", {"filters": 3}),
        (subclassed, "head", "attention", {"num_heads": 2}),
    ],
)
def test_parts_of_composite_layers_are_cut_out(make, granularity, path, size):
    plain = make()
    model = pruned(plain, granularity)
    expected = np.array(model(IMAGES))
    assert np.ptp(expected) > 1e-2
    smaller = ht.shrink(model)
    np.testing.assert_allclose(expected, smaller(IMAGES), atol=1e-5)
    assert size.items() <= smaller.get_layer(path).get_config().items()
    assert smaller.count_params() < plain.count_params()
    assert model_flops(smaller) < model_flops(plain)


def test_a_block_that_loses_nothing_stays_what_it_is():
    plain = vit(blocks=2)
    first = plain.get_layer("block0").mlp
    first.down.kernel.assign(np.arange(10)[:, np.newaxis] % 2 * np.ones(12))
    smaller = ht.shrink(plain)
    assert isinstance(smaller.get_layer("block1"), Block)
    assert smaller.get_layer("up").units == 5
    np.testing.assert_allclose(plain(IMAGES), smaller(IMAGES), atol=1e-5)
    plain = vit()
    whole = ht.shrink(plain)
    assert [type(each) for each in whole.layers] == [
        type(each) for each in plain.layers
    ]
    np.testing.assert_allclose(plain(IMAGES), whole(IMAGES), atol=1e-6)


def test_flops_and_bounds_see_what_is_inside():
    model = vit()
    # The stem, four projections of 12 x 12, two layers of 12 x 10, each at 16
    # positions, and the logits.
    weights = 16 * (4 * 12 + 4 * 12 * 12 + 2 * 12 * 10) + 12 * 3
    assert model_flops(model) == 2 * weights
    lower, upper = ht.bounds.interval(model, IMAGES - 1e-3, IMAGES + 1e-3)
    logits = np.array(model(IMAGES))
    assert np.all(lower <= logits) and np.all(logits <= upper)


def test_a_subclassed_model_of_two_tensors_is_refused():
    class Pair(Network):
        def call(self, images):
            logits = super().call(images)
            return logits, logits + 1

    model = Pair()
    model(IMAGES)
    with pytest.raises(InputError, match="from one tensor to one"):
        ht.shrink(model)


def test_a_layer_built_for_any_number_of_tokens_counts_those_of_its_call():
    model = ht.to_masked(vit())
    kernels = ht.masked_layers(model)
    flops = flops_by_layer(model)
    assert (
        flops["down"]
        == flops["up"]
        == 2 * 16 * int(np.prod(kernels["up"].kernel.shape))
    )


@keras.saving.register_keras_serializable(package="composites_test")
class Described(layers.Layer):
    """Its configuration has more than its constructor takes."""

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        config = {"factor": self.factor, "square": self.factor**2}
        return {**super().get_config(), **config}


@pytest.mark.slow
def test_layers_described_by_too_much_are_copied_and_saved(tmp_path):
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(5, 3, name="stem")(Described(3, name="described")(image))
    x = layers.GlobalMaxPooling2D()(Residual(name="residual")(x))
    x = layers.Dense(3, name="logits")(x)
    smaller = pruned(keras.Model(image, x), "filter")
    assert smaller.get_layer("described").factor == 3
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.saving.load_model(tmp_path / "smaller.keras")
    np.testing.assert_array_equal(smaller(IMAGES), loaded(IMAGES))
