"""A Keras model as the calls of its layers, in the order of computation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.composite import open_layer
from hydra_tf.errors import InputError
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_variables
from hydra_tf.keras_internals import run_graph
from hydra_tf.keras_internals import takes_training

# What a subclass may redefine and still compute what its base class does.
_HARMLESS = {
    "add_weight",
    "build",
    "compute_output_shape",
    "compute_output_spec",
    "from_config",
    "get_config",
    "load_own_variables",
    "save_own_variables",
}


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the graph, which a call reads or returns.

    Attributes:
        number: Its number: first the model's inputs, then the outputs of the
            calls, in their order.
        shape: Its shape, the batch axis first; `None` for sizes not known.
        dtype: Its dtype.
    """

    number: int
    shape: tuple[int | None, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or of a `keras.ops` operation.

    Attributes:
        name: Name of the layer after those of the nested models and composite
            layers it is in (`"encoder/conv"`); a later call of the same one has
            its number behind it (`"encoder/conv:2"`).
        operation: The layer or operation.
        args: Its positional arguments, `Value`s in the place of tensors.
        kwargs: Its keyword arguments, likewise.
        inputs: The values among the arguments, in order.
        outputs: The values that it returns, flat.
        inside: The composite layers whose `call` makes it, from the outermost
            one.
    """

    name: str
    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    inside: tuple[Any, ...] = ()

    def arguments(
        self, tensors: Mapping[int, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns `args` and `kwargs` with tensors in the place of values.

        Args:
            tensors: By the numbers of the values.
        """
        return keras.tree.map_structure(
            lambda each: (
                tensors[each.number] if isinstance(each, Value) else each
            ),
            (self.args, self.kwargs),
        )

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """Shapes of the inputs, batch axis included."""
        return [value.shape for value in self.inputs]

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of the first output, batch axis included."""
        return self.outputs[0].shape

    @property
    def settings(self) -> dict[str, Any]:
        """The keyword arguments that are neither values nor `None`."""
        return {
            key: value
            for key, value in self.kwargs.items()
            if not all(
                each is None or isinstance(each, Value)
                for each in keras.tree.flatten(value)
            )
        }

    @property
    def constants(self) -> list[Any]:
        """The positional arguments that are neither values nor `None`."""
        return [
            each
            for each in keras.tree.flatten(self.args)
            if each is not None and not isinstance(each, Value)
        ]


@dataclasses.dataclass(frozen=True)
class Walk:
    """What a walk through a model meets.

    Attributes:
        inputs: The model's inputs, flat.
        calls: The calls, each after those whose outputs it reads.
        outputs: The model's outputs, flat.
    """

    inputs: tuple[Value, ...]
    calls: tuple[Call, ...]
    outputs: tuple[Value, ...]


def shows_layers(model: Any) -> bool:
    """Whether a model is Functional or Sequential, or a subclass of these."""
    return isinstance(model, keras.Sequential) or (
        isinstance(model, keras.Model) and hasattr(model, "operations")
    )


def is_only_graph(model: Any) -> bool:
    """Whether a model is nothing but its graph.

    Not a Functional model whose class has a constructor that makes the graph.
    """
    return shows_layers(model) and package_of(type(model).__init__) == "keras"


def class_of(operation: Any) -> type:
    """Returns the class that says what a layer or operation computes.

    Of a masked layer its plain class.
    """
    cls = type(operation)
    return vars(cls).get("plain_class", cls)


def is_graph(model: Any) -> bool:
    """Whether a model computes what its layers show, and nothing else."""
    return (
        shows_layers(model)
        and package_of(type(model).call) == "keras"
        and _is_called_as_keras_does(type(model))
    )


def is_composite(layer: Any) -> bool:
    """Whether a layer does nothing but call others, for all that is known.

    A built layer of one's own, or subclassed model, that holds layers and has
    no weights but theirs. Not one derived from another layer of Keras.
    """
    if not isinstance(layer, keras.layers.Layer) or is_graph(layer):
        return False
    cls = class_of(layer)
    base = next(each for each in cls.__mro__ if package_of(each) == "keras")
    return (
        base in (keras.layers.Layer, keras.Model)
        and _is_called_as_keras_does(cls)
        and layer.built
        and layer.activity_regularizer is None
        and not own_variables(layer)
        and len(flatten_layers(layer)) > 1
    )


def _is_called_as_keras_does(cls: Any) -> bool:
    # KerasHub's classifiers have a `__call__` that takes preprocessed inputs.
    return package_of(cls.__call__) in ("keras", "keras_hub")


def check_names(model: keras.Model) -> None:
    """Raises `InputError` if a layer's name has a slash, as only paths have.

    Keras refuses to make such a layer, but not to rename one.

    Args:
        model: The model.
    """
    for layer in flatten_layers(model):
        if "/" in layer.name:
            raise InputError(
                f"layer '{layer.name}' has a slash in its name, which Keras "
                "can neither rebuild nor save: give it another, layer.name = "
                f"'{layer.name.replace('/', '_')}'"
            )


def package_of(thing: Any) -> str:
    """Returns the name of the package that defines a function or class."""
    return (getattr(thing, "__module__", None) or "").split(".")[0]


def redefines(cls: type, base: type) -> bool:
    """Whether a subclass may compute something else than a base class.

    Args:
        cls: A subclass of `base`, or `base` itself.
        base: A class of layers or operations.
    """
    classes = cls.__mro__[: cls.__mro__.index(base)]
    return any(
        hasattr(base, name)
        for each in classes
        for name in filter(_takes_part, vars(each))
    )


def _takes_part(name: str) -> bool:
    """Whether an attribute of this name may change what a layer computes."""
    if name.startswith("__"):
        return name == "__call__"
    return name not in _HARMLESS


def walk(
    model: keras.Model, is_leaf: Callable[[Any], bool] = lambda layer: False
) -> Walk:
    """Returns the calls of a model's layers, those of nested models included.

    So are those that the `call` of a composite layer or of a nested subclassed
    model makes, if it consists of layers and `keras.ops`, reads no weights
    past their calls and does the same in training; else it is one call.

    Args:
        model: A built Functional or Sequential model, or a subclassed one that
            may be opened, from one tensor to one.
        is_leaf: Which nested models and composite layers to take as one call,
            too.

    Raises:
        InputError: If the model does not show the calls of its layers, or is
            not built.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> [(call.name[:5], call.output_shape) for call in walk(model).calls]
    [('dense', (None, 2))]
    """
    specs = _input_specs(model)
    closed: set[int] = set()
    while True:
        walker = _Walker(lambda layer: id(layer) in closed or is_leaf(layer))
        inputs = [walker.value(*spec) for spec in specs]
        try:
            if is_graph(model):
                outputs = walker.run(model, inputs, prefix="", training=None)
            else:
                outputs = walker.open(model, "", tuple(inputs), {}) or []
                if len(outputs) != 1:
                    raise _hidden(model)
            walker.check_made(outputs)
        except _ConstantError as error:
            closed.add(error.layer)
            continue
        return Walk(tuple(inputs), tuple(walker.calls), tuple(outputs))


def _input_specs(model: Any) -> list[tuple[Any, Any]]:
    """Returns the shapes and dtypes of a model's inputs."""
    if is_graph(model):
        if not model.built:
            raise InputError(
                f"model '{model.name}' is not built: call it once, or give it "
                "an Input"
            )
        return [(tensor.shape, tensor.dtype) for tensor in model.inputs]
    shape = None
    # A model of this library is a wrapper around one.
    if is_composite(model) and package_of(class_of(model)) != "hydra_tf":
        shape = (model.get_build_config() or {}).get("input_shape")
    if not shape or not all(
        each is None or isinstance(each, int) for each in shape
    ):
        raise _hidden(model)
    return [((None, *shape[1:]), model.input_dtype)]


def _hidden(model: Any) -> InputError:
    return InputError(
        "`model` must be a Functional or Sequential Keras model, which shows "
        "the calls of its layers, or a built subclassed one whose `call` is "
        "made of layers and keras.ops, from one tensor to one. "
        f"Received: {type(model).__name__}"
    )


class _ConstantError(Exception):
    """A constant is read, which no call shows."""

    def __init__(self, layer: int) -> None:
        super().__init__(layer)
        self.layer = layer


class _Walker:
    """Records the calls of a model's graph while walking through it."""

    def __init__(self, is_leaf: Callable[[Any], bool]) -> None:
        self.calls: list[Call] = []
        self._is_leaf = is_leaf
        self._inside: tuple[Any, ...] = ()
        # The composite layers, by identity, that return constants.
        self._constants: dict[int, int] = {}
        self._num_values = 0
        self._num_calls: dict[str, int] = {}

    def value(self, shape: Any, dtype: Any) -> Value:
        """Returns a new value."""
        self._num_values += 1
        dtype = keras.backend.standardize_dtype(dtype)
        return Value(self._num_values - 1, tuple(shape), dtype)

    def check_made(self, values: Sequence[Value]) -> None:
        """Raises `_ConstantError` if a value is none that a call makes."""
        for each in values:
            if each.number in self._constants:
                raise _ConstantError(self._constants[each.number])

    def run(
        self,
        model: keras.Model,
        values: Sequence[Value],
        prefix: str,
        training: bool | None,
    ) -> list[Value]:
        """Walks through a model, nested ones included; returns its outputs."""
        settings = {} if training is None else {"training": training}

        def call(operation: Any, *args: Any, **kwargs: Any) -> list[Value]:
            if takes_training(operation):
                kwargs = {**settings, **kwargs}
            return self._call(operation, prefix, args, kwargs)

        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                values = call(layer, *values)
            return list(values)
        return keras.tree.flatten(run_graph(model, values, call))

    def _call(
        self,
        operation: Any,
        prefix: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> list[Value]:
        inputs = [
            each
            for each in keras.tree.flatten((args, list(kwargs.values())))
            if isinstance(each, Value)
        ]
        if isinstance(operation, keras.layers.InputLayer):
            return inputs
        self.check_made(inputs)
        name = prefix + self._name(operation)
        if (
            is_graph(operation)
            and not self._is_leaf(operation)
            # Else some of its inputs are optional or masks.
            and len(inputs) == len(operation.inputs)
            and len(inputs) == len(keras.tree.flatten(args))
        ):
            training = kwargs.get("training")
            return self.run(operation, inputs, f"{name}/", training)
        if self._is_opened(operation):
            opened = self.open(operation, name, args, kwargs)
            if opened is not None:
                return opened
        self._num_calls[name] = self._num_calls.get(name, 0) + 1
        if self._num_calls[name] > 1:
            name += f":{self._num_calls[name]}"
        spec_args, spec_kwargs = keras.tree.map_structure(
            _as_spec, (args, kwargs)
        )
        specs = operation.compute_output_spec(*spec_args, **spec_kwargs)
        outputs = [
            self.value(spec.shape, spec.dtype)
            for spec in keras.tree.flatten(specs)
            # Composite layers may return `None`s to each other.
            if spec is not None
        ]
        self.calls.append(
            Call(
                name,
                operation,
                args,
                kwargs,
                tuple(inputs),
                tuple(outputs),
                self._inside,
            )
        )
        return outputs

    def _name(self, operation: Any) -> str:
        if self._inside and not isinstance(operation, keras.layers.Layer):
            # Each time it is opened, there is another operation, its number
            # one higher.
            return re.sub(r"_\d+$", "", operation.name)
        return operation.name

    def _is_opened(self, layer: Any) -> bool:
        return is_composite(layer) and not self._is_leaf(layer)

    def open(
        self,
        layer: Any,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> list[Value] | None:
        """Walks through a composite layer; returns its outputs.

        `None` if it does not show what it does.
        """
        values: dict[int, Value] = {}
        tensors: dict[int, Any] = {}

        def as_tensor(each: Any) -> Any:
            if not isinstance(each, Value):
                return each
            if each.number not in tensors:
                tensors[each.number] = _as_spec(each)
                values[id(tensors[each.number])] = each
            return tensors[each.number]

        def as_value(each: Any) -> Any:
            return values.get(id(each), each)

        found = open_layer(
            layer,
            keras.tree.map_structure(as_tensor, args),
            keras.tree.map_structure(as_tensor, kwargs),
            self._is_opened,
        )
        if found is None:
            return None
        steps, outputs = found
        outer = self._inside
        for step in steps:
            path = [name, *(each.name for each in step.inside[1:])]
            self._inside = (*outer, *step.inside)
            results = self._call(
                step.operation,
                "".join(f"{each}/" for each in path if each),
                *keras.tree.map_structure(as_value, (step.args, step.kwargs)),
            )
            for tensor, value in zip(step.outputs, results, strict=True):
                values[id(tensor)] = value
        self._inside = outer
        for each in outputs:
            # As a rule nobody reads them.
            if not isinstance(each, keras.KerasTensor):
                value = self.value(each.shape, each.dtype)
                self._constants[value.number] = id(layer)
                values[id(each)] = value
        return [values[id(each)] for each in outputs]


def _as_spec(argument: Any) -> Any:
    if isinstance(argument, Value):
        return keras.KerasTensor(argument.shape, argument.dtype)
    return argument
