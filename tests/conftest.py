"""Set-up shared by all tests."""

from __future__ import annotations

import gc
import itertools

import pytest


def pytest_configure(config):
    # Of `without_tracing`, which input pipelines are no part of.
    config.addinivalue_line(
        "filterwarnings", "ignore:Even though the `tf.config.experimental_run"
    )
    spreads = config.getoption("numprocesses", None)
    if spreads and not hasattr(config, "workerinput"):
        return  # It runs no test itself: TensorFlow would be for nothing.
    import tensorflow as tf

    # Two logical devices let MirroredStrategy run two replicas; the number can
    # only be set before TensorFlow starts.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )


_key_bases = itertools.count(1_000_000, 1_000)
_modules = itertools.count(1)
_MODULES_A_COLLECTION = 4


@pytest.fixture(autouse=True)
def _strategies_of_their_own(monkeypatch):
    """Keeps the collectives of a test's strategy apart from other tests'.

    Every MirroredStrategy of a process counts from the same key, and a later
    one then meets operations of another type under its keys. TensorFlow keeps
    this attribute for tests.
    """
    import tensorflow as tf

    monkeypatch.setattr(
        tf.distribute.MirroredStrategy, "_collective_key_base", next(_key_bases)
    )


@pytest.fixture(autouse=True, scope="module")
def _short_collections():
    """Keeps what a module leaves behind out of later garbage collections.

    TensorFlow's caches hold millions of objects after some hundred tests, and
    each full collection would pass through all of them, for seconds.
    """
    yield
    if next(_modules) % _MODULES_A_COLLECTION == 0:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="module")
def without_tracing():
    """So few steps take less time than their graphs.

    For the `pytestmark` of a module whose facts do not depend on graphs.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def with_tracing():
    """Graphs after all, for some tests of a module without."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(False)
    yield
    tf.config.run_functions_eagerly(before)
