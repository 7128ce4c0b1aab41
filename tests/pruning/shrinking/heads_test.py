"""Heads and neurons are cut out of networks with attention."""

import keras
import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.pruning.channels.attention import projections
from hydra_tf.pruning.flops import model_flops
from tests.keras_version import GATE
from tests.pruning import networks

IMAGES = networks.images((3, 8, 8, 1))


def pruned(plain, granularity):
    """A masked copy that keeps half, at random."""
    model = ht.to_masked(plain, granularity=granularity)
    rng = np.random.default_rng(0)
    for layer in ht.masked_layers(model).values():
        layer.scores.assign(rng.normal(size=layer.scores.shape))
    ht.set_density(model, 0.5)
    return model


def kernels(layer):
    return [each.layer for each in projections(layer)]


@pytest.mark.parametrize(
    ("attention", "left"),
    [
        (networks.multi_head, {"num_heads": 2}),
        (
            networks.grouped(4, 2, **GATE),
            {"num_query_heads": 2, "num_key_value_heads": 1},
        ),
        (
            networks.grouped(4, 1, use_bias=False),
            {"num_query_heads": 2, "num_key_value_heads": 1},
        ),
    ],
    ids=["multi_head", "grouped", "one_key"],
)
def test_heads_are_cut_out_of_attention(attention, left, tmp_path):
    model = pruned(networks.vit(attention), "head")
    smaller = ht.shrink(model)
    np.testing.assert_allclose(model(IMAGES), smaller(IMAGES), atol=1e-5)
    layer = smaller.get_layer("attention0")
    assert left.items() <= layer.get_config().items()
    sizes = {each.name: each.kernel.numpy().size for each in kernels(layer)}
    masked = ht.masked_layers(model)
    for name, size in sizes.items():
        assert np.count_nonzero(masked[name].mask) == size
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.saving.load_model(tmp_path / "smaller.keras")
    np.testing.assert_array_equal(smaller(IMAGES), loaded(IMAGES))


def test_neurons_are_cut_out_after_heads():
    plain = networks.vit(einsum=True)
    without_heads = ht.shrink(pruned(plain, "head"))
    model = pruned(without_heads, "neuron")
    smaller = ht.shrink(model)
    np.testing.assert_allclose(model(IMAGES), smaller(IMAGES), atol=1e-5)
    assert smaller.get_layer("up0").units == 5
    assert smaller.get_layer("down0").kernel.shape == (12, 5)
    # Two heads of 5 in query and key and of 3 in value, and five neurons, with
    # what reads them, at 16 tokens of 12 channels.
    gone = 12 * (2 * (5 + 5 + 3 + 3) + 5 * 2)
    assert model_flops(smaller) == model_flops(plain) - 2 * 16 * gone


def test_one_head_stays_where_all_are_dead():
    plain = networks.vit(blocks=2)
    plain.get_layer("attention0").output_dense.kernel.assign(
        np.zeros((4, 3, 12))
    )
    smaller = ht.shrink(plain)
    assert smaller.get_layer("attention0").num_heads == 1
    assert smaller.get_layer("attention1").num_heads == 4
    np.testing.assert_allclose(plain(IMAGES), smaller(IMAGES), atol=1e-5)


def test_a_constant_neuron_becomes_the_bias_behind_it():
    tokens = keras.Input((6, 4))
    x = keras.layers.EinsumDense(
        "...a,ab->...b", 5, bias_axes="b", activation="gelu", name="up"
    )(tokens)
    x = keras.layers.EinsumDense("abc,cd->abd ", (6, 3), name="down")(x)
    plain = networks.shake(keras.Model(tokens, x))
    up = plain.get_layer("up").kernel
    up.assign(np.array(up) * [1, 0, 1, 1, 0])
    smaller = ht.shrink(plain)
    assert smaller.get_layer("up").kernel.shape == (4, 3)
    assert smaller.get_layer("down").bias.shape == (3,)
    values = networks.images((2, 6, 4))
    np.testing.assert_allclose(plain(values), smaller(values), atol=1e-5)
