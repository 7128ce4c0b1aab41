"""Channels and their units."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import InputError
from hydra_tf.layers import Channels

# Unit 0 is two channels, unit 1 one; the third channel always stays.
MIXED = Channels(2, (0, 1, -1, 0))


def test_as_plain_data():
    for channels in (
        Channels(3),
        Channels(3, (0, 2, 1, -1), "channels of conv"),
    ):
        assert Channels.from_config(channels.to_config()) == channels
    assert Channels.from_config(None) is None
    with pytest.raises(InputError, match="must be a .*Channels"):
        Channels.from_config((0, 1))


def test_sizes():
    assert (MIXED.size, MIXED.num_removable, MIXED.prunable) == (4, 3, True)
    assert (Channels(5).size, Channels(5).num_removable) == (5, 5)
    assert not Channels(0, (-1, -1)).prunable


def test_mask_of_units_spreads_to_channels():
    np.testing.assert_array_equal(
        MIXED.spread(tf.constant([0.0, 1.0])), [0, 1, 1, 0]
    )
    np.testing.assert_array_equal(
        Channels(0, (-1, -1)).spread(tf.zeros(0)), [1, 1]
    )


def test_values_of_channels_gather_to_units():
    np.testing.assert_array_equal(
        MIXED.gather(np.array([1.0, 2.0, 4.0, 8.0])), [9, 2]
    )


def test_fraction_counts_what_always_stays():
    assert MIXED.fraction(0.5) == 1 / 4 + 3 / 4 * 0.5
    assert Channels(5).fraction(0.5) == 0.5
