"""The uniform allocation."""

from hydra_tf.pruning import allocation
from tests.pruning.networks import dense_chain


def test_uniform_gives_every_layer_the_density():
    assert allocation.uniform(dense_chain([4, 3, 2]), 0.3) == {
        "layer0": 0.3,
        "layer1": 0.3,
    }
