"""Operations are counted alike for masked layers and whole models."""

import keras
import pytest

import hydra_tf as ht
from hydra_tf.pruning.flops import flops_by_layer
from hydra_tf.pruning.flops import masked_layer_flops
from hydra_tf.pruning.flops import model_flops
from hydra_tf.pruning.flops import total

# By weights and the positions at which each is used, of images 8 x 8.
LAYERS = {
    "dense": (keras.layers.Dense(5), 3 * 5 * 64),
    "same": (keras.layers.Conv2D(4, 3, padding="same"), 108 * 64),
    "strided": (keras.layers.Conv2D(4, 3, strides=2), 108 * 9),
    "depthwise": (keras.layers.DepthwiseConv2D(3), 27 * 36),
    # At every position of the input, whatever the stride.
    "transposed": (keras.layers.Conv2DTranspose(4, 3, strides=2), 108 * 64),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_by_hand(name):
    layer, uses = LAYERS[name]
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    assert model_flops(model) == 2 * uses
    (masked,) = ht.masked_layers(ht.to_masked(model)).values()
    assert masked_layer_flops(masked) == 2 * uses


@pytest.mark.parametrize(
    ("layer", "uses"),
    [
        (keras.layers.SeparableConv2D(5, 3), [27 * 36, 15 * 36]),
        (keras.layers.EinsumDense("abcd,de->abce", (8, 8, 5)), [15 * 64]),
        (keras.layers.EinsumDense("...d,de->...e", 5), [15 * 64]),
        (keras.layers.EinsumDense("abcd,cde->abe", (8, 5)), [120 * 8]),
        (keras.layers.ConvLSTM1D(2, 3), [None, None]),
    ],
)
def test_weights_of_other_layers_by_hand(layer, uses):
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    masked = ht.masked_layers(ht.to_masked(model))
    assert list(map(masked_layer_flops, masked.values())) == [
        use and 2 * use for use in uses
    ]


def test_projections_of_attention_by_hand():
    tokens, context = keras.Input((7, 8)), keras.Input((5, 6))
    layer = keras.layers.MultiHeadAttention(2, 3, value_dim=4)
    model = keras.Model([tokens, context], layer(tokens, context))
    uses = {
        "query": 8 * 2 * 3 * 7,
        "key": 6 * 2 * 3 * 5,
        "value": 6 * 2 * 4 * 5,
        "attention_output": 2 * 4 * 8 * 7,
    }
    assert model_flops(model) == 2 * sum(uses.values())
    found = flops_by_layer(ht.to_masked(model))
    assert found == {name: 2 * each for name, each in uses.items()}


def test_one_unknown_makes_the_sum_unknown():
    assert total([1, 2]) == 3
    assert total([1, None]) is None
    open_size = keras.Sequential(
        [keras.Input((None, 8, 3)), keras.layers.Conv2D(4, 3)]
    )
    assert model_flops(open_size) is None
