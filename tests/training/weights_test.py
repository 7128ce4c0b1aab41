"""Weights are copied whole, and recognised without scores."""

import keras
import numpy as np

import hydra_tf as ht
from hydra_tf.training import weights


def masked(seed):
    keras.utils.set_random_seed(seed)
    network = ht.to_masked(
        keras.Sequential(
            [
                keras.layers.Input((8,)),
                keras.layers.Dense(6, name="first"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(4, name="last"),
            ]
        )
    )
    ht.init_scores(network, "random", seed=seed)
    return network


def test_all_weights_arrive_whatever_their_order():
    source, target = masked(0), masked(1)
    # A rate that came before the scores' initialisation, and one after.
    ht.learn_densities(source, 0.3)
    ht.learn_densities(target, 0.5)
    ht.init_scores(target, "random", seed=2)
    weights.copy_weights(source, target)
    for name, layer in ht.masked_layers(source).items():
        copy = target.get_layer(name)
        for variable in ("kernel", "bias", "scores", "rate"):
            np.testing.assert_array_equal(
                getattr(layer, variable), getattr(copy, variable), variable
            )


def test_what_a_layer_adapted_to_arrives():
    adapted = keras.layers.Normalization()
    values = np.arange(12.0).reshape(4, 3)
    adapted.adapt(values)
    source = keras.Sequential([keras.Input((3,)), adapted])
    target = keras.models.clone_model(source)
    weights.copy_weights(source, target)
    np.testing.assert_array_equal(target(values), source(values))


def test_fingerprint_is_of_weights_alone():
    network = masked(0)
    before = weights.fingerprint(network)
    ht.init_scores(network, "random", seed=5)
    ht.set_density(network, 0.5)
    assert weights.fingerprint(network) == before
    network.get_layer("last").bias.assign_add(np.ones(4, np.float32))
    assert weights.fingerprint(network) != before


def test_fingerprint_is_the_same_of_a_file_read_twice(tmp_path):
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    )
    network.save(tmp_path / "network.keras")
    read = {
        weights.fingerprint(keras.saving.load_model(tmp_path / "network.keras"))
        for _ in range(2)
    }
    assert read == {weights.fingerprint(network)}
