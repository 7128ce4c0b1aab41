"""Hidden units of pairs of dense layers, and nothing else, are neurons."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.pruning.channels.groups import channel_groups
from tests.pruning import networks

layers = keras.layers


def network():
    """A convolution, a chain of dense layers, and one around a convolution."""
    image = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.Dense(5, name="first")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("silu")(x)
    x = layers.Dense(6, activation="gelu", name="second")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.EinsumDense("abcd,de->abce", (4, 4, 7), name="third")(x)
    x = layers.Conv2D(4, 3, name="reader")(x)
    x = layers.Flatten()(x)
    return networks.shake(keras.Model(image, layers.Dense(3, name="last")(x)))


def test_are_made_and_read_by_dense_layers_alone():
    model = ht.to_masked(network(), granularity="neuron", density=0.5)
    groups = channel_groups(model)
    assert [group.names for group in groups] == [("second",), ("third",)]
    assert [group.num_units for group in groups] == [5, 6]
    kept = {row.name: row.density for row in ht.sparsity_report(model).layers}
    assert kept["first"] == pytest.approx(3 / 5)
    assert kept["second"] == pytest.approx(3 / 5 * 3 / 6)
    assert kept["third"] == 3 / 6
    others = {"conv", "reader", "last"}
    assert {kept[name] for name in others} == {1.0}
    assert len(kept) == 6


@pytest.mark.parametrize("phase", ["prune", "finetune"])
def test_contribute_nothing_once_removed(phase):
    plain = network()
    model = ht.to_masked(plain, granularity="neuron")
    scores = ht.masked_layers(model)["third"].scores
    scores.assign([1.0, 0.0, 2.0, 3.0, 0.5, 4.0])
    ht.masked_layers(model)["third"].density = 0.5
    ht.set_phase(model, phase)
    # The bias makes an output of gelu, which nobody must read.
    assert np.abs(plain.get_layer("second").bias).min() > 0
    kernel = plain.get_layer("third").kernel
    kernel.assign(np.where(np.array(scores)[:, None] < 2, 0, kernel))
    images = networks.images((2, 6, 6, 2))
    np.testing.assert_allclose(model(images), plain(images), atol=1e-5)
