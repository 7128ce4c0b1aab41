"""Tests of networks as lists of operations: what is walked, what refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

import hydra_tf as ht
from hydra_tf.bounds.trace import trace
from hydra_tf.errors import InputError
from tests.bounds.random_points import assert_sound
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights


def network(build, shape=(4, 4, 2)):
    inputs = keras.Input(shape)
    return set_random_weights(keras.Model(inputs, build(inputs)))


def head(x):
    return layers.Dense(3, name="head")(layers.Flatten()(x))


def nested_with_two_inputs(x):
    inputs = [keras.Input((4, 4, 2)), keras.Input((4, 4, 2))]
    inner = keras.Model(inputs, layers.Subtract()(inputs))
    return head(inner([x, layers.ReLU()(x)]))


def nested_with_named_inputs(x):
    inputs = {"b": keras.Input((4, 4, 2)), "a": keras.Input((4, 4, 2))}
    inner = keras.Model(inputs, layers.Subtract()([inputs["a"], inputs["b"]]))
    return head(inner({"a": x, "b": layers.ReLU()(x)}))


def nested_with_two_outputs(x):
    inputs = keras.Input((4, 4, 2))
    inner = keras.Model(inputs, [inputs, layers.Conv2D(2, 1)(inputs)])
    return head(layers.Add()(inner(x)))


def sequential_in_sequential(x):
    inner = keras.Sequential([layers.Dense(4), layers.ReLU()])
    outer = keras.Sequential([layers.Flatten(), inner, layers.Dense(3)])
    return outer(x)


def unread_branch(x):
    layers.Softmax()(x)
    return head(x)


@pytest.mark.parametrize(
    "build",
    [
        nested_with_two_inputs,
        nested_with_named_inputs,
        nested_with_two_outputs,
        sequential_in_sequential,
        unread_branch,
        lambda x: [head(x)],
        lambda x: {"logits": head(x)},
        lambda x: layers.Dense(3)(inputs=layers.Flatten()(x)),
        lambda x: head(ops.add(x1=x, x2=ops.relu(x))),
        lambda x: head(x + x),
        lambda x: head(layers.Dropout(0.5)(x, training=False)),
        lambda x: layers.Dense(3)(ops.reshape(x, (-1, 32))),
        lambda x: layers.Flatten()(x),
    ],
)
def test_what_a_graph_may_hold(build):
    model = network(build)
    if isinstance(model.output, dict):
        ht.bounds.check_supported(model)
    else:
        assert_sound(model)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda x: head(layers.BatchNormalization(name="bn")(x, training=1)),
            "'bn' .*called with training=1",
        ),
        (
            lambda x: head(layers.Dropout(0.5, name="drop")(x, training=True)),
            "'drop' .*called with training=True",
        ),
        (
            lambda x: head(layers.Add(name="add")([x, ops.ones((1, 4, 4, 2))])),
            r"'add' \(Add\): it reads a constant",
        ),
        (
            lambda x: head(x + layers.GlobalAveragePooling2D(keepdims=True)(x)),
            r"it broadcasts \[\(4, 4, 2\), \(1, 1, 2\)\]",
        ),
        (lambda x: head(layers.Maximum(name="max")([x, x])), "'max' .Maximum"),
        (lambda x: head(ops.max(x, axis=1)), r"\(Max\)"),
        (
            lambda x: head(layers.Concatenate(axis=0, name="cat")([x, x])),
            "'cat' .*joins batches",
        ),
        (
            lambda x: layers.Dense(3)(ops.reshape(x, (-1, 8))),
            r"\(Reshape\): it mixes",
        ),
        (
            lambda x: layers.Dense(3, activation="softmax", name="last")(
                layers.Flatten()(x)
            ),
            "ends in a softmax, layer 'last'",
        ),
        (lambda x: layers.Softmax(name="last")(head(x)), "layer 'last'"),
        (lambda x: ops.softmax(head(x)), "ends in keras.ops.softmax"),
        (lambda x: [head(x), x], "one input and one output.* 2 outputs"),
    ],
)
def test_what_is_refused_is_named(build, message):
    with pytest.raises(InputError, match=message) as caught:
        ht.bounds.check_supported(network(build))
    assert "\n" not in str(caught.value)


def test_networks_of_two_inputs_are_refused():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(InputError, match="Received: 2 inputs, 1 outputs"):
        ht.bounds.check_supported(model)


def test_networks_of_no_fixed_size_are_refused():
    model = network(
        lambda x: layers.GlobalAveragePooling2D()(x), (None, None, 3)
    )
    with pytest.raises(InputError, match=r"fixed size.*\(None, None, 3\)"):
        ht.bounds.check_supported(model)


def test_networks_that_are_not_built_are_refused():
    with pytest.raises(InputError, match="is not built"):
        ht.bounds.check_supported(keras.Sequential([layers.Dense(3)]))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


class Negated(keras.Model):
    """A Functional model that returns something else than its graph."""

    def call(self, inputs, training=None):
        return -super().call(inputs, training=training)


class NegatedSequential(keras.Sequential):
    def call(self, inputs, training=None):
        return -super().call(inputs, training=training)


def negated():
    inputs = keras.Input((3,))
    return Negated(inputs, layers.Dense(3)(inputs))


def saved(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
    tf.saved_model.save(model, str(tmp_path))
    return tf.saved_model.load(str(tmp_path))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: Subclassed(),
        lambda path: negated(),
        lambda path: NegatedSequential([keras.Input((3,)), layers.Dense(3)]),
        saved,
        lambda path: lambda x: x,
        lambda path: None,
    ],
    ids=["subclassed", "negated", "sequential", "saved", "function", "none"],
)
def test_what_shows_no_graph_is_refused(make, tmp_path):
    with pytest.raises(
        InputError, match="Functional or Sequential Keras model .a SavedModel"
    ):
        ht.bounds.check_supported(make(tmp_path))


def test_what_shows_no_graph_is_refused_inside_a_network_too():
    model = network(lambda x: layers.Dense(3)(negated()(x)), (3,))
    with pytest.raises(InputError, match="no bounds for layer"):
        ht.bounds.check_supported(model)


def test_intermediate_bounds_go_by_unique_names():
    shared = layers.Conv2D(2, 2, padding="same", name="conv")

    def build(x):
        x = layers.ReLU()(shared(x))
        x = layers.ReLU()(shared(x))
        inner = keras.Sequential(
            [layers.Conv2D(3, 2, activation="relu", name="conv")], name="inner"
        )
        x = layers.MaxPooling2D()(inner(x))
        x = layers.Dense(4, activation="tanh", name="conv_2")(
            layers.Flatten()(x)
        )
        return layers.Dense(3)(x)

    model = network(build)
    *_, intermediate = ht.bounds.interval(
        model, *random_box(model), return_intermediate=True
    )
    assert set(intermediate) == {"conv", "conv:2", "inner/conv", "conv_2"}
    # The convolution's own values, not the ReLU's that pooling reads.
    assert np.min(intermediate["inner/conv"][0]) < 0
    assert intermediate["inner/conv"][0].shape == (2, 3, 3, 3)


def test_zero_padding_is_merged_into_the_convolution_after_it():
    def build(x):
        x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
        return head(layers.Conv2D(3, 2, padding="same")(x))

    model = network(build)
    operations = [node.operation for node in trace(model).nodes]
    assert len(operations) == 3
    assert operations[0].padding == ((1, 1), (2, 2))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype(np.float32)
    values = x
    for operation in operations:
        values = operation(values)
    np.testing.assert_allclose(values, model(x), rtol=1e-5, atol=1e-5)
    assert_sound(model)


def test_padding_that_something_else_reads_too_is_kept_apart():
    def build(x):
        x = layers.ZeroPadding2D(1)(x)
        return head(layers.Add()([layers.Conv2D(2, 3, padding="same")(x), x]))

    assert_sound(network(build))


def test_weights_are_read_when_bounds_are_made():
    model = network(head)
    box = random_box(model)
    before, _ = ht.bounds.interval(model, *box)
    model.get_layer("head").bias.assign_add([1.0, 2.0, 3.0])
    after, _ = ht.bounds.interval(model, *box)
    np.testing.assert_allclose(after - before, [[1, 2, 3]] * 2, atol=1e-5)
