"""Networks of several inputs, of which one is attacked."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training.network_inputs import NetworkInputs

pytestmark = pytest.mark.usefixtures("without_tracing")

RNG = np.random.default_rng(0)
X = {
    "pixels": RNG.random((8, 4, 4, 1), np.float32),
    "age": RNG.normal(size=(8, 2)).astype(np.float32),
}
Y = np.arange(8) % 3


def make_network(structure=list):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((4, 4, 1), name="pixels")
    age = keras.Input((2,), name="age")
    x = keras.layers.Concatenate()([keras.layers.Flatten()(pixels), age])
    x = keras.layers.Dense(6, activation="relu", name="first")(x)
    inputs = [pixels, age]
    if structure is dict:
        inputs = {"pixels": pixels, "age": age}
    return keras.Model(inputs, keras.layers.Dense(3, name="last")(x))


class Subclassed(keras.Model):
    """Takes a dictionary, and shows no graph."""

    def __init__(self):
        super().__init__()
        self.inner = make_network(dict)

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)


class Recording(ht.objectives.TRADES):
    """Keeps what it attacks, and what that becomes (run eagerly)."""

    def perturb(self, model, x, y, seed=None):
        self.model, self.x = model, x
        self.perturbed = super().perturb(model, x, y, seed=seed)
        return self.perturbed


def make_robust(network):
    objective = Recording(epsilon=0.1, step_size=0.1, num_steps=1)
    robust = ht.RobustModel(network, objective, attacked_input="pixels")
    robust.compile(ht.training.SGD(0.1))
    return robust


@pytest.mark.parametrize("structure", [list, dict, Subclassed])
def test_one_input_is_attacked_and_others_pass(structure):
    network = (
        Subclassed() if structure is Subclassed else make_network(structure)
    )
    given = X
    if structure is list:
        given = [X["pixels"], X["age"]]
    expected = network(given).numpy()
    robust = make_robust(network)
    np.testing.assert_allclose(
        robust.predict(X, verbose=0), expected, rtol=1e-5
    )
    logs = robust.train_on_batch(given, Y, return_dict=True)
    assert np.isfinite(logs["loss"])
    objective = robust.objective
    np.testing.assert_array_equal(objective.x, X["pixels"])
    moved = np.abs(objective.perturbed - X["pixels"])
    assert 0.05 < moved.max() <= 0.1 + 1e-6
    assert objective.model.network is network


def test_equals_a_network_of_the_images_alone():
    network = make_network()
    robust = make_robust(network)
    age = np.tile(X["age"][:1], (8, 1))
    values = robust.evaluate([X["pixels"], age], Y, verbose=0)
    image = keras.Input((4, 4, 1))
    row = keras.ops.zeros_like(keras.layers.Flatten()(image)[:, :2]) + age[0]
    alone = ht.RobustModel(
        keras.Model(image, network([image, row])),
        ht.objectives.TRADES(epsilon=0.1, step_size=0.1, num_steps=1),
    )
    alone.compile(ht.training.SGD(0.1))
    np.testing.assert_allclose(
        values, alone.evaluate(X["pixels"], Y, verbose=0), rtol=1e-4
    )


def test_masked_network_of_two_inputs_is_saved(tmp_path):
    network = ht.start_pruning(make_network(dict), density=0.5)
    ht.set_phase(network, "prune")
    robust = make_robust(network)
    before = network.get_layer("first").scores.numpy()
    data = tf.data.Dataset.from_tensor_slices({**X, "label": Y}).batch(4)
    robust.fit(data, validation_data=(X, Y), verbose=0)
    assert np.any(network.get_layer("first").scores.numpy() != before)
    objective = ht.objectives.TRADES(epsilon=0.1, num_steps=1)
    robust = ht.RobustModel(network, objective, attacked_input="pixels")
    robust.compile("sgd")
    robust.save(tmp_path / "robust.keras")
    loaded = keras.models.load_model(tmp_path / "robust.keras")
    assert loaded.attacked_input == "pixels"
    assert loaded.evaluate(X, Y, verbose=0) == robust.evaluate(X, Y, verbose=0)


def test_warm_start_knows_the_shape_of_images():
    robust = ht.RobustModel(
        make_network(),
        ht.objectives.TRADES(epsilon=0.1, num_steps=1),
        attacked_input="pixels",
        warm_start=8,
    )
    robust.compile("sgd")
    before = robust.warm_start_state.perturbations.numpy()
    assert before.shape == (8, 4, 4, 1)
    robust.train_on_batch(X, Y)
    after = robust.warm_start_state.perturbations.numpy()
    assert np.any(after != before)


def test_images_of_a_dictionary_for_one_input():
    age = keras.Input((2,), name="age")
    network = keras.Model(age, keras.layers.Dense(3)(age))
    takes = NetworkInputs(network)
    assert takes.select({"age": 1, "image": 2}) == (1, None)
    assert takes.select({"image": 2, "id": 3}) == (2, None)
    assert takes.select({"other": 3}) == (3, None)
    assert takes.select([4]) == (4, None)
    assert not NetworkInputs(network, "age").are_several
    with pytest.raises(InputError, match="holds 2 inputs"):
        takes.select([4, 5])
    with pytest.raises(InputError, match="'age', 'image', .* 'id' and 'name'"):
        takes.select({"id": 3, "name": 4})


@pytest.mark.parametrize(
    ("attacked", "given", "words"),
    [
        (None, X, r"2 inputs, 'pixels', 'age'.*attacked_input='pixels'"),
        ("pixel", X, "an input of `network`.*Did you mean 'pixels'"),
        ("pixels", {"pixels": X["pixels"]}, "and 'age', .*'age' is missing"),
        ("pixels", X["pixels"], "keys 'pixels' and 'age'"),
        ("pixels", {**X, "pixels": X["age"]}, r"\(batch, 4, 4, 1\)"),
        ("pixels", {**X, "pixels": 9 * X["pixels"]}, r"lie in \[0, 1\]"),
    ],
)
def test_mistakes_are_named(attacked, given, words):
    with pytest.raises(InputError, match=words):
        robust = ht.RobustModel(
            make_network(), ht.objectives.Natural(), attacked_input=attacked
        )
        robust.compile("sgd")
        robust.fit(given, Y, verbose=0)


def test_bounds_are_for_one_input():
    with pytest.raises(InputError, match="`attacked_input`.*by an attack"):
        ht.RobustModel(
            make_network(), ht.objectives.IBP(), attacked_input="pixels"
        )


def test_a_phase_trains_by_its_attacked_input(tmp_path):
    network = ht.start_pruning(make_network(), density=0.5)
    data = tf.data.Dataset.from_tensor_slices({**X, "label": Y}).batch(4)
    arguments = {
        "objective": ht.objectives.TRADES(epsilon=0.1, num_steps=1),
        "attacked_input": "pixels",
        "validation": data.take(1),
    }
    before = network.get_layer("first").scores.numpy()
    trained = ht.training.run_phase(
        network, "prune", data, epochs=1, folder=tmp_path, **arguments
    )
    assert np.any(trained.get_layer("first").scores.numpy() != before)
    with pytest.raises(InputError, match="in rounds"):
        ht.training.run_phase(
            network,
            "prune",
            data,
            pruning=ht.Pruning(method="lwm_multistep", density=0.5),
            epochs=2,
            **arguments,
        )


def test_units_are_those_of_the_attacked_input():
    pixels = keras.Input((4, 4, 1), name="pixels")
    age = keras.Input((2,), name="age")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    x = keras.layers.Concatenate()([keras.layers.Rescaling(0.01)(age), x])
    model = keras.Model([age, pixels], keras.layers.Dense(3)(x))
    objective = ht.objectives.FGSM(epsilon=8 / 255)
    with pytest.warns(UserWarning, match="takes pixels of 0..255.*epsilon=8"):
        ht.RobustModel(model, objective, attacked_input="pixels")
    in_bytes = ht.objectives.FGSM(epsilon=8 / 255, clip=(0, 255))
    with pytest.raises(InputError, match="give epsilon=8"):
        ht.RobustModel(model, in_bytes, attacked_input="pixels")
