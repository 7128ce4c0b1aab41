"""Batches that `tf.data.service` makes are those of one process."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf.data import service
from hydra_tf.data.service import check_service
from hydra_tf.errors import InputError

IMAGES = np.arange(14, dtype=np.float32).reshape(14, 1, 1, 1) / 14


def start_worker(dispatcher):
    address = dispatcher.target.partition("://")[2]
    return tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(dispatcher_address=address)
    )


@pytest.fixture(scope="module")
def addresses():
    """Two dispatchers with a worker each, in this process."""
    found, kept = [], []
    for _ in range(2):
        dispatcher = tf.data.experimental.service.DispatchServer()
        kept += [dispatcher, start_worker(dispatcher)]
        found.append(dispatcher.target)
    yield found
    del kept


def make(**changes):
    settings = {"batch_size": 4, "seed": 3} | changes
    return data.from_arrays(IMAGES, np.arange(14), **settings)


@pytest.mark.parametrize(
    ("hosts", "epochs", "shard"),
    [(1, (1, 2), None), (2, (1, 2), (1, 2))],
)
def test_batches_are_the_same(addresses, hosts, epochs, shard):
    pipe = make(drop_remainder=True)  # An odd number of steps.
    served = pipe.served_by(",".join(addresses[:hosts]))
    found = list(served.dataset(*epochs, shard=shard))
    whole = list(pipe.dataset(*epochs, shard=shard))
    assert len(found) == len(whole) == 6
    for one, other in zip(found, whole, strict=True):
        for part, own in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, own)


def test_no_address_is_this_process():
    assert check_service(None) is check_service("") is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:5000", "grpc://host:port"),
        ("grpc://localhost", "grpc://host:port"),
        ("grpc://localhost:many", "grpc://host:port"),
        # A port that nobody listens to.
        ("grpc://127.0.0.1:1", "no answer from grpc://127.0.0.1:1 .*refused"),
    ],
)
def test_wrong_addresses_are_one_line(address, words):
    with pytest.raises(InputError, match=words) as error:
        make().served_by(address)
    assert "\n" not in str(error.value)


def test_a_service_that_makes_no_batch_is_one_line(monkeypatch):
    # A dispatcher without a worker.
    dispatcher = tf.data.experimental.service.DispatchServer()
    monkeypatch.setattr(service, "_BATCH_SECONDS", 0.3)
    before = {*threading.enumerate()}
    words = f"no batch from {dispatcher.target} within 0.3 seconds"
    with pytest.raises(InputError, match=words):
        make().served_by(dispatcher.target)
    # What still asks would write warnings into other tests.
    worker = start_worker(dispatcher)
    for each in {*threading.enumerate()} - before:
        each.join(20)
        assert not each.is_alive()
    del worker
