"""What a training takes from a pruning method."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.training.prune_phase import compression_of
from hydra_tf.training.prune_phase import rounds_of
from tests.pruning import networks

pytestmark = pytest.mark.usefixtures("without_tracing")

X = networks.images((16, 6))
Y = np.arange(16) % 3
OBJECTIVE = ht.objectives.Natural()


def sgd(learning_rate, epochs):
    return ht.training.SGD(learning_rate or 0.1)


def prune(pruning, epochs, optimizer=sgd):
    """Runs a prune phase; returns the network and the kept of each epoch."""
    plain = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(3),
        ]
    )
    network = pruning.start(networks.shake(plain), (X, Y), epochs=epochs)
    phase = ht.training.Phase(
        name="prune", epochs=epochs, objective=OBJECTIVE, pruning=pruning
    )
    robust = ht.RobustModel(
        network,
        OBJECTIVE,
        compression=compression_of(pruning) if phase.learns_densities else None,
    )
    robust.compile(ht.training.SGD(0.1))
    rounds = []
    if phase.multistep:
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
        rounds = [
            rounds_of(
                pruning,
                robust,
                data,
                OBJECTIVE,
                epochs=epochs,
                optimizer=optimizer,
            )
        ]
    kept = []
    robust.fit(
        X,
        Y,
        epochs=epochs,
        verbose=0,
        callbacks=[
            *rounds,
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: kept.append(
                    ht.sparsity_report(network).kept
                )
            ),
        ],
    )
    pruning.finish(network)
    return network, kept, rounds


@pytest.mark.parametrize("method", ["hydra", "harp"])
def test_one_phase_ends_at_the_density(method):
    pruning = ht.Pruning(method=method, density=0.25)
    network, _, rounds = prune(pruning, 1)
    assert not rounds
    assert ht.sparsity_report(network).kept <= 72 * 0.25
    assert not any(each.rate for each in ht.masked_layers(network).values())


@pytest.mark.parametrize("method", ["harp", "hydra", "lwm", "snip"])
def test_rounds_lead_to_the_density(method):
    pruning = ht.Pruning(method=method, density=0.25, multistep=True, rounds=2)
    rates = []

    def optimizer(learning_rate, epochs):
        rates.append((learning_rate, epochs))
        return ht.training.SGD(0.05)

    network, kept, rounds = prune(pruning, 2, optimizer=optimizer)
    assert kept[0] > kept[1]
    assert kept[1] <= 72 * 0.25 == 18
    # Only scores that train need one; how fast, the training knows.
    assert rates == ([(None, 1)] if pruning.trains_scores else [])
    assert ht.sparsity_report(network).kept == kept[1]


def test_settings_reach_the_pressure_on_densities():
    pruning = ht.Pruning(
        method="harp", density=0.3, gamma_step=0.2, resource="flops"
    )
    assert compression_of(pruning).get_config() == {
        "density": 0.3,
        "gamma_step": 0.2,
        "resource": "flops",
    }
