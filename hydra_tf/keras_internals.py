"""The private parts of Keras that the library needs, and nothing else has.

Whatever Keras offers no public name for is used here and only here, so that a
release of Keras which changes it is met in one place.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src import backend
from keras.src.backend.common import global_state
from keras.src.layers.layer import CallContext
from keras.src.layers.rnn.conv_lstm import ConvLSTMCell as ConvLSTMCell
from keras.src.saving import serialization_lib


def flatten_layers(
    layer: keras.layers.Layer,
    *,
    include_self: bool = True,
    recursive: bool = True,
) -> list[keras.layers.Layer]:
    """Returns a layer and all layers inside it.

    Unlike `model.layers`, also those that a custom layer holds in any
    attribute, list or dictionary.

    Args:
        layer: Layer or model.
        include_self: Whether the layer itself is one of them.
        recursive: Whether the layers inside those inside are, too.
    """
    return list(
        layer._flatten_layers(include_self=include_self, recursive=recursive)
    )


def name_activations(model: keras.layers.Layer) -> None:
    """Writes `linear` where the activation of a layer was taken away.

    Keras makes layers so, and can neither clone nor save a later `None`.

    Args:
        model: Layer or model.
    """
    for layer in flatten_layers(model):
        if getattr(layer, "activation", layer) is None:
            layer.activation = keras.activations.linear


def own_trainable_variables(
    layer: keras.layers.Layer,
) -> list[keras.Variable]:
    """Returns the variables that a layer made to be trained.

    Without those of layers inside it, and whatever `trainable` says now.
    """
    return list(layer._trainable_variables)


def own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the variables that files hold of a layer.

    Without those of layers and of random generators inside it.
    """
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def generator_states(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the states of a layer's own random generators."""
    return [generator.state for generator in layer._seed_generators]


def in_layer_call() -> bool:
    """Whether any layer is being called, in this thread."""
    return global_state.get_global_attribute("current_call_ctx") is not None


def set_autocast(variable: keras.Variable, value: bool) -> bool:
    """Says if layers of mixed precision cast a variable when they read it.

    Returns:
        What was said before.
    """
    before = variable._autocast
    variable._autocast = value
    return before


def build_by_call(layer: keras.layers.Layer, shapes: Any) -> None:
    """Lets the layers inside a layer build themselves, by a symbolic call.

    Args:
        layer: The layer, whose own `build` does not build them.
        shapes: What its `get_build_config` returns.
    """
    if "shapes_dict" in shapes:
        tensors = {
            name.removesuffix("_shape"): keras.KerasTensor(tuple(shape))
            for name, shape in shapes["shapes_dict"].items()
            if shape is not None
        }
        backend.compute_output_spec(layer.call, **tensors)
        return
    tensors = keras.tree.map_shape_structure(
        keras.KerasTensor, shapes["input_shape"]
    )
    backend.compute_output_spec(layer.call, tensors)


def attributes_read(layer: keras.layers.Layer) -> set[str] | None:
    """Returns the names of the attributes that a layer's `call` reads.

    Args:
        layer: Built layer.

    Returns:
        The names; `None` if nothing says how to call it.
    """
    shapes = layer.get_build_config()
    if not shapes:
        return None
    read: set[str] = set()
    cls: Any = type(layer)

    def noting(layer: Any, name: str) -> Any:
        read.add(name)
        return cls.__getattribute__(layer, name)

    set_class(
        layer,
        types.new_class(
            cls.__name__,
            (cls,),
            exec_body=lambda namespace: namespace.update(
                __module__=cls.__module__, __getattribute__=noting
            ),
        ),
    )
    try:
        build_by_call(layer, shapes)
    # Anything: the call is a user's, and may need other arguments.
    except Exception:
        return None
    finally:
        set_class(layer, cls)
    return read


def operation_of(tensor: keras.KerasTensor) -> Any:
    """Returns the layer or operation that a symbolic tensor comes from."""
    return tensor._keras_history.operation


def node_of(tensor: keras.KerasTensor) -> Any:
    """Returns the call that made a symbolic tensor, `None` if none did.

    Its `operation`, `arguments` (`args`, `kwargs`) and `outputs` say what it
    was.
    """
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        return None
    return history.operation._inbound_nodes[history.node_index]


@contextlib.contextmanager
def call_context(layer: keras.layers.Layer) -> Iterator[CallContext]:
    """Lets layers take themselves for called by a layer.

    Args:
        layer: The layer.

    Yields:
        What layers hand on to those inside them: `get_value("training")` and
        `set_value("training", value)`.
    """
    before = global_state.get_global_attribute("current_call_ctx")
    context = CallContext(entry_layer=layer)
    global_state.set_global_attribute("current_call_ctx", context)
    try:
        yield context
    finally:
        global_state.set_global_attribute("current_call_ctx", before)


@contextlib.contextmanager
def without_new_nodes(layers: Sequence[keras.layers.Layer]) -> Iterator[None]:
    """Lets layers forget the symbolic calls made in the meantime."""
    before = [
        (nodes, len(nodes))
        for layer in layers
        for nodes in (layer._inbound_nodes, layer._outbound_nodes)
    ]
    try:
        yield
    finally:
        for nodes, count in before:
            del nodes[count:]


@contextlib.contextmanager
def trusting_functions() -> Iterator[None]:
    """Lets layers be made of configurations that hold Python functions.

    Only for those of layers that are in memory, whose functions run anyway.
    """
    with serialization_lib.SafeModeScope(safe_mode=False):
        yield


def share_functions(old: Any, new: Any) -> None:
    """Gives the `Lambda`s in a layer's copy the functions themselves.

    Those made of a configuration do not see the globals that they refer to.

    Args:
        old: The layer, or an operation.
        new: Its copy.
    """
    if not isinstance(old, keras.layers.Layer):
        return
    # Layers that the copy makes when it is built are not there yet.
    for one, other in zip(
        flatten_layers(old), flatten_layers(new), strict=False
    ):
        if isinstance(one, keras.layers.Lambda) and (
            (type(one), one.name) == (type(other), other.name)
        ):
            other.function, other.mask = one.function, one.mask
            other._output_shape = one._output_shape


def call_spec(operation: Any, args: Any, kwargs: Any) -> Any:
    """Returns the shapes and types of what a call makes of tensors.

    Unlike `compute_output_spec`, which may be a formula, by calling it.

    Args:
        operation: Layer or operation.
        args: Positional arguments, symbolic tensors among them.
        kwargs: Keyword arguments, likewise.
    """
    return backend.compute_output_spec(operation.call, *args, **kwargs)


def attention_projections(
    layer: keras.layers.Layer,
) -> tuple[keras.layers.Layer, ...]:
    """Returns the dense layers of an attention layer.

    Args:
        layer: A built `MultiHeadAttention` or `GroupQueryAttention`.

    Returns:
        Those of query, key and value, and the one behind the heads.
    """
    return (
        layer._query_dense,
        layer._key_dense,
        layer._value_dense,
        layer._output_dense,
    )


def attention_gate(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Returns the dense layer of what an attention multiplies its heads by.

    Args:
        layer: A built `MultiHeadAttention` or `GroupQueryAttention`.

    Returns:
        The layer, `None` without `use_gate`.
    """
    return getattr(layer, "_gate_dense", None)


def takes_training(operation: Any) -> bool:
    """Whether the call of a layer or operation takes `training`."""
    return getattr(operation, "_call_has_training_arg", False)


def run_graph(
    model: keras.Model, inputs: Sequence[Any], call: Callable[..., Any]
) -> Any:
    """Walks through a Functional model as Keras does, with other calls.

    Args:
        model: The model.
        inputs: What stands in the place of its input tensors.
        call: Called with each operation and its arguments.

    Returns:
        What stands in the place of the output tensors, in their structure.
    """
    return model._run_through_graph(
        list(inputs), operation_fn=lambda operation: operation, call_fn=call
    )


def update_compiled_metrics(
    model: keras.Model, labels: Any, outputs: Any, sample_weight: Any
) -> dict[str, Any]:
    """Updates the metrics given to `compile`, and returns their results."""
    metrics = model._compile_metrics
    if metrics is None:
        return {}
    metrics.update_state(labels, outputs, sample_weight)
    return metrics.result()


def slot_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Returns the position of a trained variable among an optimiser's.

    Args:
        optimizer: A built optimiser.
        variable: The variable, or its part on one device.
    """
    return optimizer._get_variable_index(variable)


def moving_average(
    optimizer: keras.optimizers.Optimizer, variable: Any
) -> keras.Variable | None:
    """Returns the average that an optimiser keeps of a variable (`use_ema`).

    Args:
        optimizer: A built optimiser.
        variable: A variable that it trains.

    Returns:
        The average, `None` where there is none.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    for each in getattr(optimizer, "optimizers", [optimizer]):
        pairs = zip(
            each._trainable_variables,
            getattr(each, "_model_variables_moving_average", []),
            # There are none without `use_ema`.
            strict=False,
        )
        for trained, average in pairs:
            if trained is variable:
                return average
    return None


class WatchedVariable(keras.Variable):
    """A variable that calls back after it was assigned or restored.

    Also after a `tf.train.Checkpoint` restored it. Optimisers assign the
    `tf.Variable` inside, and cause no call.

    Args:
        *args: Passed to `keras.Variable`.
        on_assign: What to call.
        **kwargs: Passed to `keras.Variable`.
    """

    def __init__(
        self, *args: Any, on_assign: Callable[[], None], **kwargs: Any
    ) -> None:
        self._on_assign = on_assign
        super().__init__(*args, **kwargs)

    def assign(self, value: Any) -> Any:
        result = self.assign_quietly(value)
        self._on_assign()
        return result

    def assign_quietly(self, value: Any) -> Any:
        """Assigns without the call."""
        return super().assign(value)

    def _restore_from_tensors(self, restored_tensors: Any) -> Any:
        result = super()._restore_from_tensors(restored_tensors)
        self._on_assign()
        return result

    def __float__(self) -> float:
        # Keras's own fails for the variables of a distribution strategy.
        return float(keras.ops.convert_to_numpy(self))


def set_class(layer: keras.layers.Layer, cls: type) -> None:
    """Makes a layer or model one of another class, its state as it is.

    Args:
        layer: The layer.
        cls: A class that has what its own has, or the plain one of that.
    """
    # Past Keras, which takes every attribute for state.
    object.__setattr__(layer, "__class__", cls)


class MultiWorkerModel(keras.Model):
    """A model whose `fit` and `evaluate` work on several workers.

    Keras 3's own fails under a `MultiWorkerMirroredStrategy`: it averages the
    first batch over the replicas to build the model by, and scalar logs along
    an axis that they lack (keras issues 20329 and 20585).
    """

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        strategy = self.distribute_strategy
        if iterator is not None and _has_workers(strategy):
            for _, _, batches in iterator:
                # Of one replica: shapes are all that it takes.
                data_batch = tf.nest.map_structure(
                    lambda each: strategy.experimental_local_results(each)[0],
                    next(batches),
                )
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _make_function(self, step_function: Callable[..., Any]) -> Any:
        strategy = self.distribute_strategy
        if not _has_workers(strategy):
            return super()._make_function(step_function)

        def averaged_step(data: Any) -> dict[str, tf.Tensor]:
            logs = step_function(data)
            # One collective for all of them.
            values = tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.MEAN,
                tf.stack([tf.cast(each, tf.float32) for each in logs.values()]),
            )
            return dict(zip(logs, tf.unstack(values), strict=True))

        def on_batch(data: Any) -> dict[str, tf.Tensor]:
            logs = strategy.run(averaged_step, args=(data,))
            return {
                name: strategy.experimental_local_results(each)[0]
                for name, each in logs.items()
            }

        if not self.run_eagerly:
            on_batch = tf.function(
                on_batch, jit_compile=self.jit_compile, autograph=False
            )

        def on_next(batches: Any) -> dict[str, tf.Tensor]:
            return on_batch(next(batches))

        traced = tf.function(on_next, autograph=False)

        def function(batches: Any) -> dict[str, tf.Tensor]:
            if self.run_eagerly or not isinstance(
                batches, tf.distribute.DistributedIterator
            ):
                return on_next(batches)
            return traced(batches)

        return function


def _has_workers(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
