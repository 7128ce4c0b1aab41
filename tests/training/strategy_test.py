"""Strategies by name."""

import pytest
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.training.strategy import make_strategy


@pytest.mark.parametrize("name", ["auto", "none", None])
def test_one_replica_without_gpus(name):
    assert make_strategy(name).num_replicas_in_sync == 1


def test_mirrored_uses_every_device():
    devices = tf.config.list_logical_devices("CPU")
    assert make_strategy("mirrored").num_replicas_in_sync == len(devices)


def test_strategy_is_taken_as_it_is():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    assert make_strategy(strategy) is strategy


def test_unknown_name_is_refused():
    with pytest.raises(InputError, match="`strategy` must be.*'mirrored'"):
        make_strategy("mirrord")
