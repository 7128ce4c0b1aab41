"""Dropout and the like: their numbers follow the phase's seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import generator_states
from hydra_tf.training.random_layers import seed_random_layers

pytestmark = pytest.mark.usefixtures("without_tracing")


@pytest.fixture(scope="module")
def train():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(32, 6, 6, 1)).astype("float32")
    return images, np.arange(32) % 2


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((6, 6, 1)),
            keras.layers.RandomFlip(),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.SpatialDropout2D(0.2, seed=5),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3, seed=5),
            keras.layers.Dense(2),
        ]
    )


def trained(network, train, **options):
    options = {"epochs": 2, "seed": 3, "learning_rate": 0.05} | options
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return ht.training.run_phase(
        copy, "pretrain", train, ht.objectives.Natural(), **options
    )


def assert_same(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    for first, second in pairs:
        np.testing.assert_array_equal(first, second)


def test_network_from_a_file_trains_as_the_one_in_memory(
    network, train, tmp_path
):
    in_memory = trained(network, train)
    in_memory.save(tmp_path / "network.keras")
    from_file = keras.saving.load_model(tmp_path / "network.keras")
    assert_same(trained(in_memory, train), trained(from_file, train))


def test_other_seeds_draw_other_numbers(network, train):
    # One batch of all images: the order is no other with another seed.
    batch = tf.data.Dataset.from_tensors(train)
    one, other = (trained(network, batch, seed=seed) for seed in (3, 4))
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])
    assert_same(one, trained(network, batch, seed=3))


def test_phases_and_layers_of_one_seed_draw_different_numbers(network):
    drawn = set()
    for phase in ("pretrain", "prune", "finetune"):
        seed_random_layers(network, 0, phase)
        drawn |= {
            tuple(np.array(state))
            for layer in flatten_layers(network)
            for state in generator_states(layer)
        }
    assert len(drawn) == 3 * 4
