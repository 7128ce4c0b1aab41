"""Tests of what the walk through a model sees inside composite layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras import ops

from hydra_tf.graph import walk
from hydra_tf.keras_internals import flatten_layers
from tests.pruning.networks import shake

SHAPE = (5, 4)


class Mlp(layers.Layer):
    """Dense layers around what a test says."""

    def __init__(self, between=None, **kwargs):
        super().__init__(**kwargs)
        self.between = between or (lambda mlp, x: x)
        dtype = self.dtype_policy
        self.up = layers.Dense(6, name="up", dtype=dtype)
        self.drop = layers.Dropout(0.5, name="drop", dtype=dtype)
        self.down = layers.Dense(4, name="down", dtype=dtype)

    def build(self, input_shape):
        self.up.build(input_shape)
        self.down.build((None, None, 6))

    def call(self, x):
        return self.down(self.drop(self.between(self, self.up(x))))


class Block(layers.Layer):
    """A residual layer around another, which hears of the mode from Keras."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, x, training=None):
        return x + self.inner(x) * 0.5


class Outer(layers.Layer):
    """Has no argument for the mode, which the layer inside has."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, x):
        return self.inner(x)


class Weighted(Mlp):
    def build(self, input_shape):
        super().build(input_shape)
        self.scale = self.add_weight(shape=(6,), name="scale")


class Positioned(Mlp):
    def build(self, input_shape):
        super().build(input_shape)
        self.positions = layers.Embedding(5, 6)
        self.positions.build((5,))


class Modal(Mlp):
    def call(self, x, training=None):
        return super().call(-x if training else x)


class Several(Mlp):
    """Returns constants and nothing, too."""

    def call(self, x):
        return super().call(x), ops.ones((5, 4)), None


class Reader(layers.Layer):
    """Reads the outputs of `Several`, all of them or one."""

    def __init__(self, inner, reads):
        super().__init__()
        self.inner, self.reads = inner, reads

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, x):
        first, second, _ = self.inner(x)
        return first + second if self.reads else first


def model_of(*made):
    inputs = keras.Input(SHAPE)
    x = inputs
    for layer in made:
        x = layer(x)
    return shake(keras.Model(inputs, x))


def names(model):
    return [call.name for call in walk(model).calls]


def state(model):
    return [
        (type(each), len(each._inbound_nodes), len(each._outbound_nodes))
        for each in flatten_layers(model)
    ]


def repeat(walked, given):
    """What the calls of a walk compute."""
    tensors = {walked.inputs[0].number: given}
    for call in walked.calls:
        args, kwargs = call.arguments(tensors)
        tensors[call.outputs[0].number] = call.operation(*args, **kwargs)
    return tensors[walked.outputs[0].number]


def test_calls_of_nested_composite_layers_are_shown_and_leave_no_trace():
    relu = Mlp(lambda mlp, x: ops.relu(x), name="mlp")
    block = Block(relu, name="block")
    model = model_of(block, block)
    before = state(model)
    walked = walk(model)
    once = ["mlp/up", "mlp/relu", "mlp/drop", "mlp/down", "multiply", "add"]
    assert names(model) == [
        *(f"block/{each}" for each in once),
        *(f"block/{each}:2" for each in once),
    ]
    assert walked.calls[1].inside == (block, relu)
    assert walked.calls[1].output_shape == (None, 5, 6)
    assert state(model) == before
    given = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")
    np.testing.assert_allclose(repeat(walked, given), model(given), atol=1e-6)


@pytest.mark.parametrize(
    "inner",
    [
        Mlp(lambda mlp, x: tf.nn.relu(x)),
        Mlp(
            lambda mlp, x: ops.matmul(
                x, ops.concatenate([mlp.down.kernel] * 2, 1)[:, :6]
            )
        ),
        Mlp(lambda mlp, x: x + mlp.up.bias),
        Mlp(lambda mlp, x: ops.reshape(x, (ops.shape(x)[0], 5, 6))),
        Mlp(lambda mlp, x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: 2 * x)),
        Mlp(activity_regularizer="l2"),
        Weighted(lambda mlp, x: x * mlp.scale),
        Positioned(lambda mlp, x: x + mlp.positions(np.arange(5))),
        Modal(),
    ],
    ids=lambda inner: type(inner).__name__,
)
def test_what_does_more_than_call_layers_stays_one_call(inner):
    inner.name = "inner"
    model = model_of(Block(inner, name="block"))
    before = state(model)
    assert names(model) == ["block/inner", "block/multiply", "block/add"]
    assert state(model) == before


def test_layers_of_keras_and_those_derived_from_them_stay_one_call():
    class Attention(layers.MultiHeadAttention):
        def call(self, query, value, key=None):
            return 2 * super().call(query, value)

    class Wrapped(layers.Wrapper):
        def call(self, x):
            return self.layer(x)

    attention = Attention(2, 2, name="attention")
    model = model_of(
        lambda x: attention(x, x, x),
        Wrapped(layers.Dense(4), name="wrapped"),
        layers.TimeDistributed(layers.Dense(4), name="each"),
    )
    assert names(model) == ["attention", "wrapped", "each"]


def test_nested_composite_layers_can_be_leaves():
    model = model_of(Outer(Block(Mlp(name="mlp"), name="block"), name="outer"))
    found = walk(model, lambda layer: isinstance(layer, Mlp)).calls
    assert found[0].name == "outer/block/mlp"


def test_the_mode_of_a_call_reaches_the_layers_inside():
    inputs = keras.Input(SHAPE)
    block = Block(Outer(Mlp(name="mlp"), name="outer"), name="block")
    outputs = block(block(block(inputs), training=False), training=True)
    model = keras.Model(inputs, outputs)
    settings = [
        call.settings
        for call in walk(model).calls
        if call.name.startswith("block/outer/mlp/drop")
    ]
    modes = [each.get("training", False) for each in settings]
    assert modes == [False, False, True]


@pytest.mark.parametrize("reads", [False, True])
def test_a_constant_may_be_returned_but_not_read(reads):
    inner = Several(name="inner")
    (first, *_) = names(model_of(Reader(inner, reads)))
    assert first.endswith("/inner/up") != reads
    inputs = keras.Input(SHAPE)
    outside = Reader(Several(), reads=False)
    assert len(walk(keras.Model(inputs, outside(inputs))).calls) == 3


def test_inputs_are_cast_as_the_layer_does():
    block = Block(Mlp(dtype="bfloat16"), dtype="bfloat16", name="block")
    walked = walk(model_of(block))
    assert walked.calls[0].name == "block/cast"
    assert {call.outputs[0].dtype for call in walked.calls} >= {"bfloat16"}
    assert walked.calls[-1].outputs[0].dtype == "bfloat16"


def test_a_nested_graph_in_a_layer_is_walked_through():
    chain = keras.Sequential(
        [layers.Dense(6, "relu", name="up"), layers.Dense(4, name="down")],
        name="chain",
    )
    model = model_of(Outer(Block(chain, name="block"), name="outer"))
    path = "outer/block/chain/"
    assert names(model)[:2] == [f"{path}up", f"{path}down"]
