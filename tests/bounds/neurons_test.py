"""Tests of the ways to bound every neuron, which must agree.

Wide maps and many of them are bounded in other ways than small ones, for speed
and memory: each way is made to run here, and compared with the plain one.
"""

import pytest

from hydra_tf.bounds import neurons
from hydra_tf.bounds import receptive_fields
from tests.bounds.comparisons import all_bounds
from tests.bounds.comparisons import assert_close
from tests.bounds.random_points import random_box
from tests.bounds.random_points import residual_network


@pytest.fixture(scope="module")
def network():
    return residual_network()


@pytest.fixture(scope="module")
def box(network):
    return random_box(network)


@pytest.fixture(scope="module")
def expected(network, box):
    return all_bounds(network, box)


@pytest.mark.parametrize(
    ("share", "limits"),
    [
        (-1.0, {}),
        (100.0, {}),
        (100.0, {"_MAX_WINDOWS": 0}),
        (-1.0, {"_MAX_NUMBERS": 2000}),
        (100.0, {"_MAX_NUMBERS": 4000}),
    ],
    ids=["maps", "windows", "image by image", "rows", "rows of windows"],
)
def test_every_way_to_bound_neurons_agrees(
    monkeypatch, network, box, expected, share, limits
):
    monkeypatch.setattr(receptive_fields, "_MAX_SHARE", share)
    for name, value in limits.items():
        monkeypatch.setattr(neurons, name, value)
    assert_close(all_bounds(network, box), expected)
