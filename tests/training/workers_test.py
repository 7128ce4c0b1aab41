"""Two workers on loopback train as one process does; what they tell others.

Each worker is a process that runs this file.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.training import Workers

ROOT = pathlib.Path(__file__).parents[2]
EPSILON = 0.1
EPOCHS, BATCH = 4, 8
RNG = np.random.default_rng(0)
X = RNG.random((40, 6, 6, 1), np.float32)
Y = RNG.integers(0, 3, 40)
# Steps: 20. The last batch to validate has 5 of 8 images.
VALIDATION = (X[:13], Y[:13])


def madry():
    return ht.objectives.Madry(epsilon=EPSILON, num_steps=2)


def trades():
    return ht.objectives.TRADES(epsilon=EPSILON, num_steps=2)


def crown_ibp():
    epsilon = ht.schedules.LinearRamp(0, 3, first=0.0, last=EPSILON)
    return ht.objectives.CROWNIBP(epsilon=epsilon)


CASES = {
    "fgsm": {"objective": lambda: ht.objectives.FGSM(epsilon=EPSILON)},
    "trades": {"objective": trades},
    "crown_ibp": {"objective": crown_ibp},
    "harp": {"objective": madry, "learns": True},
    "ibp": {
        "objective": lambda: ht.objectives.IBP(epsilon=EPSILON),
        "phase": "pretrain",
    },
    "smoothing": {
        "objective": ht.objectives.RandomizedSmoothing,
        "phase": "finetune",
    },
    "batch_norm": {"objective": madry, "norm": {}, "phase": "finetune"},
    "synchronized": {
        "objective": trades,
        "norm": {"synchronized": True},
        "phase": "finetune",
    },
}


def train(strategy, objective, phase="prune", learns=False, norm=None):
    """Returns all weights after 20 steps, and the logs of the last epoch."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        x = inputs = keras.Input((6, 6, 1))
        x = keras.layers.Conv2D(3, 3, 2, name="conv")(x)
        if norm is not None:
            x = keras.layers.BatchNormalization(name="bn", **norm)(x)
        x = keras.layers.Flatten()(keras.layers.ReLU()(x))
        network = keras.Model(inputs, keras.layers.Dense(3, name="dense")(x))
        compression = None
        if phase != "pretrain":
            network = ht.to_masked(network)
            ht.set_density(network, 0.4)
            if learns:
                ht.learn_densities(network, 0.3)
                compression = ht.training.Compression(0.3)
            ht.set_phase(network, phase)
        robust = ht.RobustModel(
            network, objective(), seed=3, compression=compression
        )
        robust.compile(
            ht.training.SGD(0.05, momentum=0.9, weight_decay=0.01),
            metrics=["accuracy"],
        )
    seen = []
    history = robust.fit(
        X,
        Y,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        validation_data=VALIDATION,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])
            )
        ],
    ).history
    assert len(seen) == 20
    logs = {f"log {name}": values for name, values in history.items()}
    weights = {w.path.replace("/", " "): np.asarray(w) for w in network.weights}
    return weights | logs


def work(folder, names):
    """What a worker does."""
    strategy = ht.training.make_strategy("multi_worker")
    workers = Workers(strategy)
    told = workers.from_chief(f"worker {workers.index}".encode())
    try:
        workers.check_equal({"its task": str(workers.index), "seed": "0"})
        difference = ""
    except InputError as error:
        difference = str(error)
    path = pathlib.Path(folder) / str(workers.index)
    path.mkdir()
    (path / "told.json").write_text(
        json.dumps([workers.count, told.decode(), difference])
    )
    for name in names:
        np.savez(path / f"{name}.npz", **train(strategy, **CASES[name]))
    workers.wait()


def two_workers(folder, names):
    """Returns what two workers left: their words, their weights."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        cluster = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), *names],
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": {"worker": cluster},
                        "task": {"type": "worker", "index": index},
                    }
                ),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        errors = [each.communicate(timeout=280)[1] for each in processes]
    finally:
        for each in processes:
            each.kill()
    assert [each.returncode for each in processes] == [0, 0], errors
    told = [
        json.loads((folder / str(index) / "told.json").read_text())
        for index in range(2)
    ]
    trained = {
        name: [
            dict(np.load(folder / str(index) / f"{name}.npz"))
            for index in range(2)
        ]
        for name in names
    }
    return told, trained


def assert_as_one_process(trained):
    for name, (chief, other) in trained.items():
        for key, value in chief.items():
            np.testing.assert_array_equal(value, other[key], err_msg=key)
        one = train(tf.distribute.get_strategy(), **CASES[name])
        assert one.keys() == chief.keys()
        if name == "batch_norm":
            continue  # Each worker normalises by its own half of a batch.
        for key, value in one.items():
            np.testing.assert_allclose(
                np.asarray(value, float),
                np.asarray(chief[key], float),
                rtol=0,
                atol=1e-5,
                err_msg=f"{name}: {key}",
            )


@pytest.mark.slow
def test_two_workers_train_as_one_process(tmp_path):
    told, trained = two_workers(tmp_path, ["fgsm"])
    difference = (
        "worker 1 differs from the chief in its task (1, not 0); start all "
        "workers with the same command, code and data"
    )
    assert told == [[2, "worker 0", difference]] * 2
    assert_as_one_process(trained)


@pytest.mark.slow
def test_two_workers_train_every_objective_as_one_process(tmp_path):
    names = [name for name in CASES if name != "fgsm"]
    assert_as_one_process(two_workers(tmp_path, names)[1])


def test_one_process_is_its_own_chief(tmp_path):
    workers = Workers(tf.distribute.get_strategy())
    assert (workers.count, workers.index, workers.is_chief) == (1, 0, True)
    assert workers.own_folder(tmp_path) == tmp_path
    assert workers.from_chief(b"as it is") == b"as it is"
    workers.check_equal({"nothing": "to compare with"})
    called = []
    workers.on_chief(lambda: called.append(True))
    assert called == [True]


def test_another_worker_has_a_folder_of_its_own(tmp_path):
    workers = Workers(tf.distribute.get_strategy())
    workers.index = 1
    own = workers.own_folder(tmp_path / "run")
    assert tmp_path not in own.parents
    assert workers.own_folder(tmp_path / "run") == own
    assert workers.own_folder(own) == own


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2:])
