"""Layers that stay plain: by name, pattern and predicate; unknown kinds."""

import keras
import pytest

import hydra_tf as ht
from hydra_tf.errors import InputError


def network():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="block1_conv1")(image)
    x = keras.layers.Conv2D(4, 3, name="block1_conv2")(x)
    x = keras.layers.Conv2D(4, 3, name="block2_conv1")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


@pytest.mark.parametrize(
    ("exclude", "masked"),
    [
        (["block1_*"], ["block2_conv1", "logits"]),
        ("block*", ["logits"]),
        (["*_conv1", "logits"], ["block1_conv2"]),
        (("block[12]_conv1",), ["block1_conv2", "logits"]),
        ([], ["block1_conv1", "block1_conv2", "block2_conv1", "logits"]),
    ],
)
def test_patterns(exclude, masked):
    assert list(ht.masked_layers(ht.to_masked(network(), exclude))) == masked


def test_all_unknown_names_are_named():
    with pytest.raises(
        InputError,
        match="names 'logit', 'block3_\\*', which are no layers .*'logits'.*"
        r"pattern.*exclude=lambda layer",
    ):
        ht.to_masked(network(), exclude=["logit", "pool", "block3_*"])


@pytest.mark.parametrize("exclude", [3, [1], [["pool"]], 0.5])
def test_what_is_no_list_of_names(exclude):
    with pytest.raises(InputError, match="`exclude` must be a list of names"):
        ht.to_masked(network(), exclude=exclude)


def unknown(names, others=()):
    image = keras.Input((8, 8, 3))
    x = image
    for name in names:
        x = keras.layers.SeparableConv2D(3, 3, padding="same", name=name)(x)
    for name in others:
        x = keras.layers.Conv2D(3, 3, padding="same", name=name)(x)
    x = keras.layers.Reshape((64, 3))(x)
    x = keras.layers.LSTM(2, name="lstm")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def test_all_layers_that_cannot_be_masked_are_named():
    with pytest.raises(InputError) as caught:
        ht.to_masked(unknown(["a", "b"]))
    message = str(caught.value)
    for words in (
        "3 layers can't be masked",
        "'a', 'b' (SeparableConv2D); 'lstm' (LSTM)",
        "`exclude=['a', 'b', 'lstm']`",
        "exclude=lambda layer: isinstance(layer, SeparableConv2D | LSTM)",
        "hydra_tf.register_masked_twin",
    ):
        assert words in message
    masked = ht.to_masked(unknown(["a", "b"]), exclude=["a", "b", "lstm"])
    assert list(ht.masked_layers(masked)) == ["logits"]


def test_many_are_named_by_a_pattern_that_hits_nothing_else():
    names = ["separable_1", "separable_2", "separable_3"]
    with pytest.raises(InputError, match=r"=\['separable_\*', 'lstm'\]`"):
        ht.to_masked(unknown(names))
    with pytest.raises(InputError, match=r"=\['separable_1', 'separa"):
        ht.to_masked(unknown(names, ["separable_conv"]))
