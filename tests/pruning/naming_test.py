"""Names of masked layers are unique and in graph order."""

import keras
import pytest

import hydra_tf as ht
from tests.pruning import networks


def block(name, inner="dense"):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4, name=inner)], name=name
    )


def names(model):
    return list(ht.masked_layers(ht.to_masked(model)))


def test_layers_have_their_own_name_in_graph_order():
    assert names(networks.multi_branch()) == [
        "stem",
        "twice",
        "depthwise",
        "logits",
    ]
    assert names(networks.functional_in_sequential()) == ["conv", "logits"]


def test_layers_of_the_same_name_get_their_models_in_front():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            block("encoder"),
            block("decoder"),
            keras.layers.Dense(4, name="dense"),
            block("head", "logits"),
        ]
    )
    assert names(model) == [
        "encoder/dense",
        "decoder/dense",
        "dense",
        "logits",
    ]


def test_names_lead_to_the_layers():
    model = ht.to_masked(networks.sequential())
    for name, layer in ht.masked_layers(model).items():
        assert layer is model.get_layer(name)


def test_layers_held_by_a_custom_layer_are_found():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.branches = [
                ht.layers.MaskedDense(3, name=name) for name in ("a", "b")
            ]

        def call(self, inputs):
            return sum(branch(inputs) for branch in self.branches)

    model = keras.Sequential([keras.Input((4,)), Block()])
    assert list(ht.masked_layers(model)) == ["a", "b"]


def test_unbuilt_model_is_told_from_a_plain_one():
    model = keras.Sequential([ht.layers.MaskedDense(3)])
    with pytest.raises(ht.InputError, match="not built"):
        ht.sparsity_report(model)


def test_plain_model_has_none():
    assert ht.masked_layers(networks.sequential()) == {}
