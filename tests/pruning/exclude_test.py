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


class Scaled(keras.layers.Layer):
    """A layer that nothing is known of."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=input_shape[1:], name="scale")

    def call(self, inputs):
        return inputs * self.scale


class Shifted(Scaled):
    """Another one."""


def unknown(names, others=()):
    image = keras.Input((8, 8, 3))
    x = image
    for name in names:
        x = Scaled(name=name)(x)
    for name in others:
        x = keras.layers.Conv2D(3, 3, padding="same", name=name)(x)
    x = Shifted(name="shift")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def test_all_layers_that_cannot_be_masked_are_named():
    with pytest.raises(InputError) as caught:
        ht.to_masked(unknown(["a", "b"]), strict=True)
    message = str(caught.value)
    for words in (
        "3 layers can't be masked",
        "'a', 'b' (Scaled); 'shift' (Shifted)",
        "`exclude=['a', 'b', 'shift']`",
        "exclude=lambda layer: isinstance(layer, Scaled | Shifted)",
        "hydra_tf.register_maskable",
    ):
        assert words in message
    exclude = ["a", "b", "shift"]
    masked = ht.to_masked(unknown(["a", "b"]), exclude, strict=True)
    assert list(ht.masked_layers(masked)) == ["logits"]


def test_many_are_named_by_a_pattern_that_hits_nothing_else():
    names = ["scaled_1", "scaled_2", "scaled_3"]
    with pytest.raises(InputError, match=r"=\['scaled_\*', 'shift'\]`"):
        ht.to_masked(unknown(names), strict=True)
    with pytest.raises(InputError, match=r"=\['scaled_1', 'scaled_2"):
        ht.to_masked(unknown(names, ["scaled_conv"]), strict=True)
