"""Batches made by other hosts, with `tf.data.service`.

Every address is a dispatcher with one worker of its own. With several addresses
the batches are made in turn, so that their order is that of a single process.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.parse
from collections.abc import Callable

import tensorflow as tf

from hydra_tf.data.sharding import Turn
from hydra_tf.errors import InputError

# TensorFlow itself would try for an hour, without a word.
_CONNECT_SECONDS = 10.0
_BATCH_SECONDS = 30.0


def check_service(addresses: str | None) -> str | None:
    """Returns the addresses of dispatchers, each of which makes batches.

    Args:
        addresses: `grpc://host:port`, or several separated by commas; empty or
            `None` for none.

    Raises:
        InputError: If one is no such address, nothing answers there, or no
            batch comes from there.
    """
    if not addresses:
        return None
    if not isinstance(addresses, str):
        raise _no_address(addresses)
    for address in addresses.split(","):
        parts = urllib.parse.urlsplit(address)
        try:
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _no_address(addresses) from error
        if parts.scheme != "grpc" or host is None or port is None:
            raise _no_address(addresses)
        try:
            socket.create_connection((host, port), _CONNECT_SECONDS).close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(
                f"`data_service`: no answer from {address} "
                f"({reason}): start a tf.data.experimental.service dispatcher "
                f"there. Received: data_service={addresses!r}"
            ) from error
        if not _makes_batches(address):
            raise InputError(
                f"`data_service`: no batch from {address} within "
                f"{_BATCH_SECONDS:g} seconds: it must be a "
                "tf.data.experimental.service dispatcher with a worker. "
                f"Received: data_service={addresses!r}"
            )
    return addresses


def _makes_batches(address: str) -> bool:
    """Whether a dataset of one number comes through a dispatcher in time."""
    came = threading.Event()

    def ask() -> None:
        with contextlib.suppress(tf.errors.OpError):
            for _ in tf.data.Dataset.range(1).apply(
                tf.data.experimental.service.distribute(
                    processing_mode="parallel_epochs", service=address
                )
            ):
                came.set()

    threading.Thread(target=ask, daemon=True).start()
    return came.wait(_BATCH_SECONDS)


def served(
    addresses: str | None,
    make: Callable[[Turn], tf.data.Dataset],
    first_step: int = 0,
) -> tf.data.Dataset:
    """Returns batches that others make, or this process.

    Args:
        addresses: What `check_service` returned.
        make: Function that returns the batches of a turn.
        first_step: Number of the first batch.
    """
    if addresses is None:
        return make(Turn(first_step=first_step))
    hosts = addresses.split(",")
    parts = [
        make(Turn(index, len(hosts), first_step)).apply(
            tf.data.experimental.service.distribute(
                # A split for each epoch: nothing comes twice, even of a
                # dispatcher that has more workers than it should.
                processing_mode="distributed_epoch",
                service=host,
                compression=None,
            )
        )
        for index, host in enumerate(hosts)
    ]
    if len(parts) == 1:
        return parts[0]
    turns = tf.data.Dataset.range(first_step, first_step + len(parts))
    turns = turns.map(lambda step: step % len(parts)).repeat()
    return tf.data.Dataset.choose_from_datasets(
        parts, turns, stop_on_empty_dataset=True
    )


def _no_address(received: object) -> InputError:
    return InputError(
        "`data_service` must be the address of a dispatcher of "
        "tf.data.service, grpc://host:port, or several separated by commas. "
        f"Received: data_service={received!r}"
    )
