"""Workers meet before TensorFlow starts, or say who is missing."""

import concurrent.futures
import socket
import time

import pytest

from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError
from hydra_tf.training.rendezvous import meet


@pytest.fixture
def addresses():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        chief = f"127.0.0.1:{one.getsockname()[1]}"
    return [chief, "worker1:1", "worker2:1"]


def together(addresses, indices, seconds):
    """Returns what each worker raised, `None` of those that met."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        each = [pool.submit(meet, addresses, i, seconds) for i in indices]
        return [one.exception() for one in each]


def test_all_go_on_once_all_are_there(addresses):
    assert together(addresses, [2, 0, 1], 10) == [None] * 3


def test_all_that_came_say_who_did_not(addresses):
    for error in together(addresses, [0, 2], 0.5):
        assert isinstance(error, WorkersError)
        assert str(error).endswith("no answer from worker1:1")


def test_without_a_chief_it_is_the_chief(addresses):
    (error,) = together(addresses, [1], 0.3)
    assert str(error).endswith(f"no answer from {addresses[0]}")


def test_a_worker_that_died_meanwhile_is_not_there(addresses):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        chief = pool.submit(meet, addresses, 0, 1.5)
        host, port = addresses[0].split(":")
        deadline = time.monotonic() + 10
        while True:
            try:
                one = socket.create_connection((host, int(port)), 1)
                break
            except ConnectionRefusedError:
                # The chief does not listen yet.
                assert time.monotonic() < deadline
                time.sleep(0.01)
        one.sendall(b"1\n")
        one.close()
        assert str(chief.exception()).endswith("worker1:1, worker2:1")


def test_a_port_in_use_is_one_line(addresses):
    with socket.create_server(("", int(addresses[0].split(":")[1]))):
        with pytest.raises(InputError, match="cannot listen.*in use"):
            meet(addresses, 0, 0.1)
