"""Tests of the walk through a Keras graph."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from hydra_tf.errors import InputError
from hydra_tf.graph import check_names
from hydra_tf.graph import redefines
from hydra_tf.graph import walk


def names(model, **kwargs):
    return [call.name for call in walk(model, **kwargs).calls]


def test_a_sequential_model_is_a_chain():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, name="conv"),
            layers.Flatten(name="flatten"),
            layers.Dense(2, name="logits"),
        ]
    )
    walked = walk(model)
    assert [value.shape for value in walked.inputs] == [(None, 8, 8, 3)]
    assert [
        (call.name, call.input_shapes, call.output_shape)
        for call in walked.calls
    ] == [
        ("conv", [(None, 8, 8, 3)], (None, 6, 6, 4)),
        ("flatten", [(None, 6, 6, 4)], (None, 144)),
        ("logits", [(None, 144)], (None, 2)),
    ]
    assert walked.outputs == walked.calls[-1].outputs
    assert [call.inputs[0].number for call in walked.calls] == [0, 1, 2]
    assert [call.outputs[0].number for call in walked.calls] == [1, 2, 3]


def test_every_call_of_a_shared_layer_is_met_with_its_shapes():
    shared = layers.Conv2D(3, 3, name="shared")
    inputs = keras.Input((9, 9, 3))
    walked = walk(keras.Model(inputs, shared(shared(inputs))))
    first, second = walked.calls
    assert first.operation is second.operation is shared
    assert (first.name, second.name) == ("shared", "shared:2")
    assert second.inputs == first.outputs
    assert second.output_shape == (None, 5, 5, 3)


def nested():
    inner_inputs = keras.Input((None, None, 3), name="inner_image")
    inner = keras.Model(
        inner_inputs, layers.Conv2D(3, 3, name="conv")(inner_inputs), name="net"
    )
    inputs = keras.Input((9, 9, 3))
    return keras.Model(inputs, inner(inner(inputs)))


def test_nested_models_are_walked_through_with_the_shapes_of_each_call():
    calls = walk(nested()).calls
    assert [call.name for call in calls] == ["net/conv", "net/conv:2"]
    assert [call.output_shape for call in calls] == [
        (None, 7, 7, 3),
        (None, 5, 5, 3),
    ]


def test_nested_models_can_be_leaves():
    leaves = names(nested(), is_leaf=lambda layer: layer.name == "net")
    assert leaves == ["net", "net:2"]


def test_operations_keep_their_arguments():
    inputs = keras.Input((4,), name="x")
    walked = walk(keras.Model(inputs, ops.relu(inputs + 2.0)))
    add, relu = walked.calls
    assert add.constants == [2.0]
    assert add.args == (walked.inputs[0], 2.0)
    assert relu.inputs == add.outputs
    assert relu.constants == []


def test_named_arguments_are_inputs_too():
    x, y = keras.Input((4,)), keras.Input((4,))
    (call,) = walk(keras.Model([x, y], ops.subtract(x1=y, x2=x))).calls
    assert [value.number for value in call.inputs] == [1, 0]
    assert call.settings == {}


def test_settings_of_a_call_are_kept_those_of_nested_models_too():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dropout(0.5), layers.ReLU()]
    )
    inputs = keras.Input((4,))
    model = keras.Model(inputs, inner(inputs, training=False))
    settings = [call.settings for call in walk(model).calls]
    assert settings == [{"training": False}, {}]


def test_several_inputs_and_outputs_keep_their_order():
    inputs = {
        "b": keras.Input((4,), name="b"),
        "a": keras.Input((3,), name="a"),
    }
    model = keras.Model(
        inputs, {"v": ops.relu(inputs["a"]), "u": layers.ReLU()(inputs["b"])}
    )
    walked = walk(model)
    assert [value.shape[-1] for value in walked.inputs] == [3, 4]
    assert [value.shape[-1] for value in walked.outputs] == [4, 3]


def test_dtypes_follow_the_layers():
    inputs = keras.Input((4,), dtype="int32")
    x = layers.Embedding(5, 2)(inputs)
    model = keras.Model(inputs, layers.Dense(2, dtype="mixed_bfloat16")(x))
    walked = walk(model)
    dtypes = [walked.inputs[0].dtype]
    dtypes += [call.outputs[0].dtype for call in walked.calls]
    assert dtypes == ["int32", "float32", "bfloat16"]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


class Negated(keras.Model):
    def call(self, inputs, training=None):
        return -super().call(inputs, training=training)


def negated():
    inputs = keras.Input((3,))
    return Negated(inputs, layers.Dense(3)(inputs), name="negated")


@pytest.mark.parametrize("make", [Subclassed, negated, lambda: None])
def test_models_that_do_not_show_their_layers_are_refused(make):
    with pytest.raises(InputError, match="Functional or Sequential") as caught:
        walk(make())
    assert "\n" not in str(caught.value)


def test_inside_a_model_they_are_one_call():
    inputs = keras.Input((3,))
    inner = negated()
    (call,) = walk(keras.Model(inputs, inner(inputs))).calls
    assert call.operation is inner
    assert call.output_shape == (None, 3)


def test_models_that_are_not_built_are_refused():
    with pytest.raises(InputError, match="'net' is not built"):
        walk(keras.Sequential([layers.Dense(3)], name="net"))


def test_a_subclass_is_what_its_base_is_unless_it_redefines_it():
    class Named(layers.Dense):
        def get_config(self):
            return super().get_config()

    class Doubled(layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    assert not redefines(layers.Dense, layers.Dense)
    assert not redefines(Named, layers.Dense)
    assert redefines(Doubled, layers.Dense)


def test_calls_can_be_repeated_from_their_arguments():
    x, y = keras.Input((4, 3)), keras.Input((4, 3))
    dense = layers.Dense(3)
    out = layers.Concatenate(axis=1)([dense(x), ops.maximum(y, 0.5)])
    model = keras.Model([x, y], dense(out))
    walked = walk(model)
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(2, 4, 3)).astype("float32") for _ in range(2)]
    tensors = dict(enumerate(given))
    for call in walked.calls:
        args, kwargs = call.arguments(tensors)
        tensors[call.outputs[0].number] = call.operation(*args, **kwargs)
    np.testing.assert_array_equal(
        tensors[walked.outputs[0].number], model(given)
    )


def test_name_that_keras_cannot_read_is_refused():
    inner = layers.Dense(1)
    network = keras.Sequential(
        [keras.Input((2,)), keras.Sequential([keras.Input((2,)), inner])]
    )
    check_names(network)
    inner.name = "a/b"
    with pytest.raises(InputError, match="'a/b'.*layer.name = 'a_b'"):
        check_names(network)
