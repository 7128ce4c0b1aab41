"""Workers meet before TensorFlow starts, or say who is missing."""

import concurrent.futures
import contextlib
import json
import socket
import time

import pytest

from hydra_tf.errors import InputError
from hydra_tf.errors import WorkersError
from hydra_tf.training.rendezvous import meet


@pytest.fixture
def addresses():
    with contextlib.ExitStack() as opened:
        ports = []
        for _ in range(3):
            one = opened.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
    return [f"127.0.0.1:{port}" for port in ports]


def together(addresses, indices, seconds, others=None):
    """Returns what each worker raised, `None` of those that met.

    Args:
        addresses: Those of the chief, and of all but the last worker.
        indices: The workers that come.
        seconds: How long they wait.
        others: The addresses of the last worker.
    """
    given = dict.fromkeys(indices, addresses)
    given[indices[-1]] = others or addresses
    with concurrent.futures.ThreadPoolExecutor() as pool:
        each = [pool.submit(meet, given[i], i, seconds) for i in indices]
        return [one.exception() for one in each]


def test_all_go_on_once_all_are_there(addresses):
    assert together(addresses, [2, 0, 1], 10) == [None] * 3


def test_all_that_came_say_who_did_not(addresses):
    for error in together(addresses, [0, 2], 0.5):
        assert isinstance(error, WorkersError)
        assert str(error).endswith(f"no answer from {addresses[1]}")


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
        one.sendall(json.dumps([1, addresses, ""]).encode() + b"\n")
        one.close()
        assert str(chief.exception()).endswith(", ".join(addresses[1:]))


@pytest.mark.parametrize("last", [2, 4], ids=["fewer", "more"])
def test_workers_of_other_clusters_all_say_so(addresses, last):
    others = [*addresses, "10.0.0.1:1"][:last]
    for error in together(addresses, [0, 2, 1], 10, others):
        assert isinstance(error, InputError)
        assert str(error) == (
            "worker 1 differs from the chief in the addresses of the workers "
            f"({','.join(others)}, not {','.join(addresses)}); give all "
            "workers the same cluster"
        )


@pytest.mark.parametrize("index", [0, 1])
def test_a_port_in_use_is_one_line_on_all(addresses, index):
    indices = [0, 2, 1] if index else [0]
    with socket.create_server(("", int(addresses[index].split(":")[1]))):
        for error in together(addresses, indices, 10):
            assert isinstance(error, InputError)
            assert str(error).startswith(
                f"worker {addresses[index]} cannot listen on its address: "
                "Address already in use"
            )
