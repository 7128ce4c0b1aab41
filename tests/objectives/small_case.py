"""A small network and data for objectives on bounds."""

import keras
import numpy as np
import tensorflow as tf

import hydra_tf as ht

RNG = np.random.default_rng(0)
X = RNG.random((12, 6, 6, 1), dtype=np.float32)
Y = RNG.integers(0, 3, 12)
RAMP = ht.schedules.LinearRamp(0, 2, first=0.0, last=0.1)


def make_network(normalize=False, dtype=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, 2, name="conv", dtype=dtype)(inputs)
    if normalize:
        x = keras.layers.BatchNormalization(name="bn", dtype=dtype)(x)
    x = keras.layers.ReLU(dtype=dtype)(x)
    x = keras.layers.Flatten(dtype=dtype)(x)
    return keras.Model(
        inputs, keras.layers.Dense(3, name="dense", dtype=dtype)(x)
    )


def make_masked(phase, normalize=False):
    network = ht.to_masked(make_network(normalize))
    ht.set_density(network, 0.5)
    ht.set_phase(network, phase)
    return network


def make_robust(objective, network=None, optimizer=None, **kwargs):
    attack = kwargs.pop("attack", None)
    robust = ht.RobustModel(network or make_network(), objective, attack=attack)
    robust.compile(optimizer or ht.training.SGD(0.1), **kwargs)
    return robust


def fit(robust, **kwargs):
    settings = {"batch_size": 4, "shuffle": False, "verbose": 0, **kwargs}
    return robust.fit(X, Y, **settings).history


def losses(objective, network, **kwargs):
    """Returns the `Loss` of an objective on bounds."""
    x = tf.constant(X)
    return objective.losses(network, x, tf.constant(Y), x, **kwargs)
