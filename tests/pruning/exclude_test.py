"""Layers that stay plain: by name, pattern and predicate; unknown kinds."""

import keras
import numpy as np
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


class Gated(keras.layers.Dense):
    """A subclass with a matrix that its base class does not have."""

    def build(self, input_shape):
        super().build(input_shape)
        self.gate = self.add_weight(shape=self.kernel.shape, name="gate")

    def call(self, inputs):
        return super().call(inputs) * keras.ops.matmul(inputs, self.gate)


class Listed(Gated):
    """One that is registered without it."""


ht.register_maskable(Listed, ["kernel"])


def test_matrices_beside_a_kernel_stay_dense_with_a_warning():
    model = keras.Sequential([keras.Input((4,)), Gated(3, name="gated")])
    with pytest.warns(UserWarning, match=r"44.4% of .* 'gated' \(Gated\)"):
        masked = ht.to_masked(model)
    assert list(ht.masked_layers(masked)) == ["gated"]
    with pytest.raises(InputError, match="its weight 'gate' of shape"):
        ht.to_masked(model, strict=True)
    # What a list leaves out is meant to be.
    listed = keras.Sequential([keras.Input((4,)), Listed(3)])
    ht.to_masked(listed, strict=True)
    # Biases of several axes are no kernels.
    axes = keras.layers.EinsumDense("ab,bcd->acd", (2, 3), bias_axes="cd")
    biased = type("Biased", (type(axes),), {})
    layer = biased("ab,bcd->acd", (2, 3), bias_axes="cd")
    ht.to_masked(keras.Sequential([keras.Input((4,)), layer]), strict=True)


class Tokens(keras.Model):
    """A model with a weight of its own."""

    def __init__(self):
        super().__init__(name="tokens")
        self.dense = keras.layers.Dense(3, name="dense")
        self.token = self.add_weight(shape=(1, 4), name="token")

    def call(self, inputs):
        return self.dense(inputs + self.token)

    def get_config(self):
        return {}


@pytest.mark.parametrize(
    "exclude",
    [["tokens"], "tok*", lambda layer: isinstance(layer, Tokens)],
)
def test_weights_of_the_model_itself_are_left_out_by_its_name(exclude):
    model = Tokens()
    model(np.zeros((1, 4)))
    with pytest.raises(InputError, match=r"'token' .*`exclude=\['tokens'\]`"):
        ht.to_masked(model, strict=True)
    masked = ht.to_masked(model, exclude, strict=True)
    assert list(ht.masked_layers(masked)) == ["dense"]
