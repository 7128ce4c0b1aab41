"""What Keras keeps private, and that one module alone touches it."""

import ast
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import keras_internals

ROOT = pathlib.Path(__file__).resolve().parent.parent


def private_names():
    """The names with one underscore of the usual objects of Keras."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    objects = (
        model,
        keras.Model(model.inputs, model.outputs),
        model.inputs[0],
        model.layers[0],
        model.layers[0].kernel,
        model.optimizer,
        keras.callbacks.CallbackList(),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(1, 1),
        keras.losses.MeanSquaredError(),
        keras.metrics.Mean(),
        keras.optimizers.schedules.CosineDecay(1, 1),
        keras.random.SeedGenerator(1),
    )
    return {
        name
        for each in objects
        for name in dir(each)
        if name.startswith("_") and not name.startswith("__")
    }


PRIVATE = private_names()


def uses(source):
    """Private names of Keras that a module uses and does not define."""
    nodes = list(ast.walk(ast.parse(source)))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    own |= {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {
        argument.value
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("delattr", "getattr", "hasattr", "setattr")
        for argument in node.args[1:2]
        if isinstance(argument, ast.Constant)
    }
    return (names & PRIVATE) - own


@pytest.mark.parametrize(
    "source",
    [
        "model._flatten_layers()",
        "hasattr(model, '_nodes')",
        "self._tracker.unlock()",
        "layer._untrack_variable(v)",
        "tensor._keras_history",
    ],
)
def test_private_names_are_recognised(source):
    assert uses(source)


@pytest.mark.parametrize(
    "tree", ["hydra_tf", "trainers", "flags", "benchmarks"]
)
def test_one_module_alone_uses_private_names_of_keras(tree):
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in (ROOT / tree).rglob("*.py")
        if (names := uses(path.read_text()))
    }
    found.pop("hydra_tf/keras_internals.py", None)
    assert not found


class Holder(keras.layers.Layer):
    """A custom layer that holds others in a dictionary."""

    def __init__(self):
        super().__init__()
        self.inner = {"first": keras.layers.Dense(2, name="first")}

    def build(self, input_shape):
        self.inner["first"].build(input_shape)

    def call(self, inputs):
        return self.inner["first"](inputs)


def test_layers_in_any_attribute_are_found():
    holder = Holder()
    model = keras.Sequential([keras.Input((3,)), holder])
    found = keras_internals.flatten_layers(model)
    assert found[0] is model
    assert holder.inner["first"] in found
    assert keras_internals.flatten_layers(
        holder, include_self=False, recursive=False
    ) == [holder.inner["first"]]


def test_own_variables_are_those_of_no_inner_layer():
    layer = Holder()
    layer(np.ones((1, 3), "float32"))
    assert not keras_internals.own_trainable_variables(layer)
    first = layer.inner["first"]
    first.trainable = False
    assert len(keras_internals.own_trainable_variables(first)) == 2


def test_graph_is_walked_with_other_calls():
    image = keras.Input((3,))
    layer = keras.layers.Dense(3, name="dense")
    model = keras.Model(image, layer(image) + image)
    called = []

    def call(operation, *args, **kwargs):
        called.append(operation)
        return len(called)

    assert keras_internals.run_graph(model, ["x"], call) == 2
    assert called[0] is layer
    assert keras_internals.operation_of(layer.output) is layer
    assert keras_internals.takes_training(keras.layers.Dropout(0.5))
    assert not keras_internals.takes_training(called[1])


def test_watched_variable_calls_back(tmp_path):
    calls = []
    variable = keras_internals.WatchedVariable(
        [1.0, 2.0], on_assign=lambda: calls.append(variable.numpy().tolist())
    )
    assert not calls
    path = tf.train.Checkpoint(v=variable).write(str(tmp_path / "c"))
    variable.assign([3.0, 4.0])
    tf.train.Checkpoint(v=variable).read(path).assert_consumed()
    assert calls == [[3.0, 4.0], [1.0, 2.0]]
    variable.value.assign([5.0, 6.0])
    assert len(calls) == 2


def test_variables_of_a_layer_alone():
    layer = keras.layers.LSTMCell(2, dropout=0.5)
    layer.build((None, 3))
    names = ["kernel", "recurrent_kernel", "bias"]
    assert [v.name for v in keras_internals.own_variables(layer)] == names
    (state,) = keras_internals.generator_states(layer)
    assert "seed_generator" in state.path
    outer = keras.layers.RNN(layer)
    assert keras_internals.own_variables(outer) == []


def test_layer_calls_are_known_as_such():
    seen = []

    class Watching(keras.layers.Layer):
        def call(self, inputs):
            seen.append(keras_internals.in_layer_call())
            return inputs

    assert not keras_internals.in_layer_call()
    Watching()(np.ones((1, 2)))
    assert seen == [True]
    assert not keras_internals.in_layer_call()


def test_variables_that_are_not_cast():
    layer = keras.layers.Dense(2, dtype="mixed_bfloat16")
    layer.build((None, 3))
    assert keras_internals.set_autocast(layer.kernel, False)
    # Keras computes in the wider of the two.
    assert layer(np.ones((1, 3), "float32")).dtype == tf.float32
    assert not keras_internals.set_autocast(layer.kernel, True)
    assert layer(np.ones((1, 3), "float32")).dtype == tf.bfloat16


@pytest.mark.parametrize("names", [None, ("a", "b")])
def test_layers_inside_are_built_by_a_symbolic_call(names):
    class Holder(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def call(self, a, b=None):
            return self.inner(a if b is None else a + b)

    layer = Holder()
    shapes = {"input_shape": (None, 3)}
    if names:
        shapes = {"shapes_dict": {f"{each}_shape": (None, 3) for each in names}}
    keras_internals.build_by_call(layer, shapes)
    assert layer.inner.kernel.shape == (3, 2)


def test_moving_averages_of_an_optimizer():
    kernel, bias = keras.Variable([1.0]), keras.Variable([2.0])
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    optimizer.build([kernel, bias])
    optimizer.apply([tf.constant([1.0])] * 2)
    for variable in (kernel, bias):
        average = keras_internals.moving_average(optimizer, variable)
        assert average.shape == (1,)
    assert average.numpy() == bias.numpy() == 1.5  # After a single step.
    scaled = keras.optimizers.LossScaleOptimizer(optimizer)
    assert keras_internals.moving_average(scaled, bias) is average
    without = keras.optimizers.SGD(0.5)
    without.build([kernel])
    assert keras_internals.moving_average(without, kernel) is None
