"""Subclassed models are masked, trained, saved and stripped as others are."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError
from tests.pruning.networks import shake

layers = keras.layers


@keras.saving.register_keras_serializable(package="subclassed_test")
class Halved(layers.Dense):
    """A subclass of a layer."""

    def call(self, inputs, training=None):
        return super().call(inputs, training) / 2


@keras.saving.register_keras_serializable(package="subclassed_test")
class Network(keras.Model):
    """Convolution, attention in a nested graph, and a loop over layers."""

    def __init__(self, num_classes=3, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.stem = layers.Conv2D(4, 3, strides=2, name="stem")
        self.flatten = layers.Reshape((-1, 4))
        tokens = keras.Input((9, 4))
        self.mixer = keras.Model(
            tokens,
            layers.MultiHeadAttention(2, 3, name="attention")(tokens, tokens),
        )
        self.dense = [layers.Dense(4, "gelu", name=f"mlp{i}") for i in (0, 1)]
        self.drop = layers.Dropout(0.1)
        self.head = layers.Dense(num_classes, name="head")

    def call(self, inputs, training=None):
        x = self.flatten(self.stem(inputs))
        x = x + self.mixer(x)
        for layer in self.dense:
            x = x + layer(x)
        x = self.drop(x, training=training)
        return self.head(keras.ops.mean(x, axis=1))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(package="subclassed_test")
class Simple(keras.Model):
    """What users write: no configuration, no arguments of a layer."""

    def __init__(self, units=3):
        super().__init__()
        self.hidden = layers.Dense(units, "relu")
        self.head = layers.Dense(2)

    def call(self, inputs):
        return self.head(self.hidden(inputs))


@keras.saving.register_keras_serializable(package="subclassed_test")
class Graph(keras.Model):
    """A Functional model whose constructor makes the graph."""

    def __init__(self, units=4, **kwargs):
        image = keras.Input((8, 8, 1))
        x = layers.Conv2D(units, 3, name="first")(image)
        x = layers.Conv2D(units, 3, name="second")(layers.ReLU()(x))
        x = layers.Flatten()(x)
        super().__init__(image, layers.Dense(3, name="head")(x), **kwargs)
        self.units = units

    def get_config(self):
        return {"name": self.name, "units": self.units}


class Pair(keras.Model):
    """Reads two inputs."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs["a"]) - self.dense(inputs["b"])


class ByHand(keras.Model):
    """A model that makes masked layers itself, and has no configuration."""

    def __init__(self, network):
        super().__init__()
        self.inner = network
        self.dense = ht.layers.MaskedDense(3, density=0.5, name="own")

    def call(self, inputs):
        return self.dense(self.inner(inputs))


IMAGES = np.random.default_rng(0).uniform(size=(8, 8, 8, 1)).astype("float32")
LABELS = np.arange(8) % 3


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    model = Network(name="network")
    model(IMAGES)
    return shake(model)


def drop(masked, density=0.4):
    ht.set_phase(masked, "prune")
    ht.set_density(masked, density)
    ht.init_scores(masked, "random", seed=1)
    return masked


def test_copy_and_strip(network):
    outputs = network(IMAGES)
    masked = ht.to_masked(network)
    assert isinstance(masked, Network)
    assert list(ht.masked_layers(masked)) == [
        "stem",
        "query",
        "key",
        "value",
        "attention_output",
        "mlp0",
        "mlp1",
        "head",
    ]
    np.testing.assert_allclose(masked(IMAGES), outputs, atol=1e-5)
    assert type(network) is Network
    assert not ht.masked_layers(network)
    drop(masked)
    assert ht.sparsity_report(masked).density == pytest.approx(0.4, abs=0.05)
    stripped = ht.strip_masks(masked)
    assert type(stripped) is Network
    np.testing.assert_allclose(stripped(IMAGES), masked(IMAGES), atol=1e-5)
    assert "hydra_tf" not in stripped.to_json()


def test_constructor_without_arguments_of_a_layer(tmp_path):
    inputs = IMAGES[:, 0, :, 0]
    # Keras does not know the arguments of a model without get_config().
    other = Simple(units=5)
    other(inputs)
    with pytest.raises(InputError, match="other weights .*`in_place=True`"):
        ht.to_masked(other)
    model = Simple()
    outputs = model(inputs)
    masked = ht.to_masked(model)
    np.testing.assert_allclose(masked(inputs), outputs, atol=1e-5)
    path = str(tmp_path / "masked.keras")
    drop(masked).save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(inputs), masked(inputs))
    assert type(ht.strip_masks(loaded)) is Simple


@pytest.mark.parametrize("granularity", ["weight", "channel"])
def test_graph_of_a_constructor(granularity, tmp_path):
    model = shake(Graph())
    masked = ht.to_masked(model, granularity=granularity)
    assert isinstance(masked, Graph)
    np.testing.assert_array_equal(masked(IMAGES), model(IMAGES))
    drop(masked)
    path = str(tmp_path / "masked.keras")
    masked.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded(IMAGES), masked(IMAGES))
    stripped = ht.strip_masks(loaded)
    assert type(stripped) is Graph
    np.testing.assert_allclose(stripped(IMAGES), masked(IMAGES), atol=1e-5)
    if granularity == "channel":
        assert ht.shrink(masked).count_params() < model.count_params()


def test_several_inputs_in_a_dictionary():
    model = Pair()
    inputs = {"a": IMAGES[:, 0], "b": IMAGES[:, 1]}
    outputs = model(inputs)
    masked = ht.to_masked(model)
    np.testing.assert_allclose(masked(inputs), outputs, atol=1e-5)
    assert type(ht.strip_masks(masked)) is Pair


def test_in_place(network):
    outputs = network(IMAGES)
    assert ht.to_masked(network, in_place=True) is network
    np.testing.assert_allclose(network(IMAGES), outputs, atol=1e-5)
    drop(network)
    pruned = network(IMAGES)
    assert not np.allclose(pruned, outputs)
    assert ht.strip_masks(network, in_place=True) is network
    assert type(network) is Network
    assert not ht.masked_layers(network)
    assert all(v.trainable for v in network.head.weights)
    np.testing.assert_allclose(network(IMAGES), pruned, atol=1e-5)


def test_made_of_masked_layers_by_hand(network):
    model = ByHand(network)
    model(IMAGES)
    masked = ht.to_masked(model, in_place=True)
    ht.set_density(masked, 0.5)
    outputs = masked(IMAGES)
    with pytest.raises(InputError, match="can't be copied .*`in_place=True`"):
        ht.strip_masks(masked)
    ht.strip_masks(masked, in_place=True)
    assert type(masked) is ByHand
    assert type(masked.dense) is layers.Dense
    np.testing.assert_allclose(masked(IMAGES), outputs, atol=1e-5)


def test_trains(network):
    masked = ht.to_masked(network)
    ht.set_density(masked, 0.4)
    for phase in ("prune", "finetune"):
        ht.set_phase(masked, phase)
        robust = ht.RobustModel(masked, ht.objectives.create("natural"))
        robust.compile(ht.training.SGD(0.1, momentum=0.9))
        before = np.array(masked.head.kernel)
        scores = np.array(masked.head.scores)
        robust.fit(IMAGES, LABELS, batch_size=8, verbose=0)
        assert np.array_equal(before, masked.head.kernel) == (phase == "prune")
        assert np.array_equal(scores, masked.head.scores) == (phase != "prune")


@pytest.mark.slow  # It imports TensorFlow in another process.
def test_loads_where_only_the_class_is_known(network, tmp_path):
    masked = drop(ht.to_masked(network))
    path = tmp_path / "masked.keras"
    masked.save(path)
    halved = keras.Sequential([keras.Input((4,)), Halved(3, name="halved")])
    drop(ht.to_masked(halved)).save(tmp_path / "halved.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    np.save(tmp_path / "outputs.npy", masked(IMAGES))
    # In another process, other names and counters.
    program = f"""
        import keras, numpy as np
        keras.layers.Dense(2), keras.layers.MultiHeadAttention(1, 1)
        from tests.pruning import subclassed_test
        import hydra_tf as ht
        folder = {str(tmp_path)!r}
        masked = keras.models.load_model(folder + "/masked.keras")
        images = np.load(folder + "/images.npy")
        outputs = np.load(folder + "/outputs.npy")
        np.testing.assert_allclose(masked(images), outputs, atol=1e-5)
        assert list(ht.masked_layers(masked))[:2] == ["stem", "query"]
        halved = keras.models.load_model(folder + "/halved.keras")
        assert list(ht.masked_layers(halved)) == ["halved"]
        plain = ht.strip_masks(masked)
        assert type(plain) is subclassed_test.Network
        np.testing.assert_allclose(plain(images), outputs, atol=1e-5)
        ht.export_saved_model(masked, folder + "/exported")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert (tmp_path / "exported" / "saved_model.pb").exists()


@pytest.mark.parametrize("granularity", ["channel", "filter"])
def test_channels_need_a_graph(granularity):
    pair = Pair()
    pair({"a": np.zeros((1, 4)), "b": np.zeros((1, 4))})
    with pytest.raises(InputError, match=r"needs the graph .*from one tensor"):
        ht.to_masked(pair, granularity=granularity)


def test_inside_of_a_graph(network):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, layers.Dense(2, name="last")(network(image)))
    masked = drop(ht.to_masked(model))
    assert list(ht.masked_layers(masked))[-1] == "last"
    stripped = ht.strip_masks(masked)
    assert type(stripped.layers[1]) is Network
    np.testing.assert_allclose(stripped(IMAGES), masked(IMAGES), atol=1e-5)


def test_layer_that_several_hold_is_masked_in_place_alone():
    x = keras.Input((5, 6))
    dense = keras.layers.Dense(6, name="dense")
    wrapper = keras.layers.TimeDistributed(dense, name="wrapper")
    network = keras.Model(x, keras.layers.Add()([dense(x), wrapper(x)]))
    message = "'dense' and 'wrapper' share the weights of 'dense'.*in_place"
    with pytest.raises(InputError, match=message):
        ht.to_masked(network)
    masked = ht.to_masked(network, in_place=True)
    assert masked.get_layer("wrapper").layer is masked.get_layer("dense")
    assert len(ht.masked_layers(masked)) == 1
