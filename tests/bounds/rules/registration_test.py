"""Tests of registering rules, and of what has none."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import hydra_tf as ht
from hydra_tf.bounds.rules import registration
from hydra_tf.errors import InputError
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import bounds_by
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights


class Affine(layers.Layer):
    """The example of `register_rule`."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],))
        self.shift = self.add_weight(shape=(input_shape[-1],))

    def call(self, inputs):
        return inputs * self.scale + self.shift


class Subclass(Affine):
    pass


class Doubled(Affine):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Negative(layers.ReLU):
    def call(self, inputs):
        return -super().call(inputs)


@pytest.fixture(autouse=True)
def _rules_of_the_test(monkeypatch):
    monkeypatch.setattr(registration, "_rules", dict(registration._rules))


def register_affine():
    @ht.bounds.register_rule(Affine)
    def rule(layer):
        return ht.bounds.Linear(
            lambda x, scale: x * scale,
            kernel=layer.scale,
            bias=layer.shift,
            diagonal=True,
        )

    return rule


def network(*some_layers, shape=(4, 4, 2)):
    return set_random_weights(
        keras.Sequential(
            [
                keras.Input(shape),
                layers.Conv2D(3, 2, activation="relu"),
                *some_layers,
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
    )


@pytest.mark.parametrize("cls", [Affine, Subclass])
def test_a_registered_layer_is_bounded(cls):
    register_affine()
    assert_sound(network(cls()))


def test_gradients_reach_the_weights_of_a_registered_layer():
    register_affine()
    model = network(Affine(name="affine"))
    with tf.GradientTape() as tape:
        ends = ht.bounds.crown(model, *random_box(model, radius=1.0))
        total = tf.reduce_sum(ends[0])
    weights = [weight.value for weight in model.get_layer("affine").weights]
    for gradient in tape.gradient(total, weights):
        assert np.any(gradient != 0)


def test_the_decorator_returns_the_rule():
    rule = register_affine()
    assert registration.find_rule(Affine()) is rule


def test_a_subclass_with_a_call_of_its_own_needs_its_own_rule():
    register_affine()
    model = network(Doubled(name="doubled"))
    with pytest.raises(InputError, match="'doubled' \\(Doubled\\)"):
        ht.bounds.check_supported(model)

    @ht.bounds.register_rule(Doubled)
    def _(layer):
        return ht.bounds.Scale(2 * layer.scale, 2 * layer.shift)

    assert_sound(model)


@pytest.mark.parametrize(
    ("base", "method"),
    [
        (layers.Dense, "call"),
        (layers.Dense, "__call__"),
        (layers.Dense, "kernel"),
        (layers.Conv2D, "convolution_op"),
        (layers.Add, "_merge_function"),
        (ht.layers.MaskedDense, "effective_kernel"),
    ],
)
def test_keras_layers_with_something_overridden_are_refused(base, method):
    cls = type("Mine", (base,), {method: getattr(base, method)})
    arguments = {layers.Add: (), layers.Conv2D: (3, 1)}.get(base, (3,))
    assert registration.find_rule(base(*arguments)) is not None
    assert registration.find_rule(cls(*arguments)) is None


class Documented(layers.Dense):
    """A subclass that computes what its base class does."""

    def __init__(self, units, note="", **kwargs):
        super().__init__(units, **kwargs)
        self.note = note

    def build(self, input_shape):
        super().build(input_shape)
        self.steps = self.add_weight(name="steps", trainable=False)

    def get_config(self):
        return {**super().get_config(), "note": self.note}

    def helper(self):
        return self.note


def test_keras_layers_with_something_added_are_bounded():
    assert_sound(network(Documented(3, "mine")))


class Relu(keras.Operation):
    """An operation of the user's, of the name of one of Keras'."""

    def call(self, x):
        return x * x

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def test_operations_are_not_taken_for_those_of_keras():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Relu(name="square")(inputs))
    with pytest.raises(InputError, match="'square' .Relu"):
        ht.bounds.check_supported(model)


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantised_layers_are_refused(mode):
    model = network(layers.Dense(4, name="odd"))
    model.get_layer("odd").quantize(mode)
    with pytest.raises(InputError, match=f"'odd' .*quantised .{mode}"):
        ht.bounds.check_supported(model)


def test_a_later_rule_replaces_an_earlier_one():
    register_affine()
    model = network(Affine(), shape=(3, 3, 1))

    @ht.bounds.register_rule(Affine)
    def _(layer):
        return []

    plain = network(shape=(3, 3, 1))
    plain.set_weights(
        [
            w
            for w, v in zip(model.get_weights(), model.weights, strict=True)
            if "affine" not in v.path
        ]
    )
    box = random_box(model)
    for ends in zip(
        bounds_by("crown", model, *box),
        bounds_by("crown", plain, *box),
        strict=True,
    ):
        np.testing.assert_array_equal(*ends)


def test_a_rule_of_several_operations_and_shapes():
    class Block(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 4))

        def call(self, inputs):
            x = tf.nn.relu(tf.tensordot(inputs, self.kernel, 1))
            return tf.nn.tanh(tf.reshape(x, [-1, 6, 6]))

    seen = []

    @ht.bounds.register_rule(Block)
    def _(layer, shapes):
        seen.append(shapes)
        return [
            ht.bounds.Linear(
                lambda x, kernel: tf.tensordot(x, kernel, 1), layer.kernel
            ),
            ht.bounds.LeakyReLU(),
            ht.bounds.Linear(
                lambda x: tf.reshape(x, [-1, 6, 6]), diagonal=True
            ),
            ht.bounds.Monotone(tf.tanh),
        ]

    model = network(Block())
    assert_sound(model)
    assert seen[0] == [(3, 3, 3)]


def test_a_rule_of_what_is_no_sequence():
    class Gated(layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1],) * 2)

        def call(self, inputs, other):
            return inputs * tf.sigmoid(tf.tensordot(other, self.kernel, 1))

    @ht.bounds.register_rule(Gated)
    def _(layer):
        kernel = ht.bounds.Linear(
            lambda x, kernel: tf.tensordot(x, kernel, 1), layer.kernel
        )
        sigmoid = ht.bounds.Activation(tf.sigmoid, inflections=(0.0,))
        scores = ht.bounds.Applied(kernel, [1], "scores")
        gate = ht.bounds.Applied(sigmoid, [scores], "gate")
        return ht.bounds.Applied(ht.bounds.Product(), [0, gate])

    inputs = keras.Input((5,))
    x, y = layers.Dense(3)(inputs), layers.Dense(3)(inputs)
    outputs = layers.Dense(2)(Gated(name="gated")(x, y))
    model = set_random_weights(keras.Model(inputs, outputs))
    assert_sound(model)
    *_, bounds = ht.bounds.crown(
        model, *random_box(model), return_intermediate=True
    )
    assert {"gated/scores", "gated/gate"} <= set(bounds)


def test_a_rule_of_the_call_gets_its_settings():
    class Shift(layers.Layer):
        def call(self, inputs, by):
            return inputs + by

    @ht.bounds.register_rule(Shift)
    def _(layer, shapes, call):
        return ht.bounds.Scale(1.0, call.settings["by"])

    inputs = keras.Input((5,))
    outputs = layers.Dense(2)(Shift()(layers.Dense(3)(inputs), by=2.0))
    assert_sound(set_random_weights(keras.Model(inputs, outputs)))


def test_a_rule_must_return_operations():
    ht.bounds.register_rule(Affine)(lambda layer: [tf.nn.relu])
    with pytest.raises(InputError, match="rule of layer 'affine.* Linear"):
        ht.bounds.check_supported(network(Affine()))


def test_rules_are_registered_for_classes():
    with pytest.raises(InputError, match="takes classes .*'Dense'"):
        ht.bounds.register_rule("Dense")


@pytest.mark.parametrize(
    "layer",
    [
        layers.PReLU(name="odd"),
        layers.SeparableConv2D(2, 2, name="odd"),
        layers.Lambda(lambda x: -x, name="odd"),
        layers.TimeDistributed(layers.Dense(2), name="odd"),
        Affine(name="odd"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_an_unsupported_layer_is_named_with_the_way_to_register_it(layer):
    kind = type(layer).__name__
    with pytest.raises(InputError) as caught:
        ht.bounds.check_supported(network(layer))
    message = str(caught.value)
    assert f"'odd' ({kind})" in message and "\n" not in message
    assert f"@hydra_tf.bounds.register_rule({kind})" in message


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (layers.Dense(2, activation="glu"), "activation is 'glu'"),
        (layers.Dense(2, activation="softmax"), "activation is 'softmax'"),
        (layers.Dense(2, activation=layers.PReLU()), "PReLU"),
        (layers.Dense(2, activation=Negative()), "Negative"),
        (layers.Dense(2, activation=layers.Flatten()), "Flatten"),
        (layers.Activation("sparsemax"), "activation is 'sparsemax'"),
        (layers.LeakyReLU(negative_slope=0.0), None),
        (layers.ELU(alpha=-1.0), "alpha is < 0"),
        (layers.Conv2D(2, 2, data_format="channels_first"), "channels_first"),
        (
            layers.DepthwiseConv2D(2, data_format="channels_first"),
            "channels_first",
        ),
        (
            layers.UpSampling2D(2, interpolation="bicubic"),
            "interpolation is 'bicubic'",
        ),
    ],
)
def test_what_a_layer_cannot_be_is_said(layer, why):
    model = network(layer)
    if why is None:
        ht.bounds.check_supported(model)
        return
    with pytest.raises(InputError, match=why):
        ht.bounds.check_supported(model)
