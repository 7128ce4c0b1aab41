"""A Keras network traced to the operations that bounds work on."""

from __future__ import annotations

import collections
import dataclasses
import functools
import inspect
from collections.abc import Collection
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.attacks.logits import check_has_no_softmax
from hydra_tf.bounds.convolution import Convolution
from hydra_tf.bounds.convolution import ZeroPadding
from hydra_tf.bounds.operations import Applied
from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.products import Product
from hydra_tf.bounds.rules.registration import as_operations
from hydra_tf.bounds.rules.registration import find_rule
from hydra_tf.bounds.rules.registration import unsupported
from hydra_tf.errors import InputError
from hydra_tf.graph import Call
from hydra_tf.graph import Value
from hydra_tf.graph import is_graph
from hydra_tf.graph import package_of
from hydra_tf.graph import walk


@dataclasses.dataclass(frozen=True)
class Node:
    """One operation; it computes the value whose number is `output`.

    Attributes:
        name: Name of the layer it comes from, unique for each call of a layer.
        operation: What is computed.
        inputs: Numbers of the values that it reads.
        output: Number of the value that it computes.
    """

    name: str
    operation: Operation
    inputs: tuple[int, ...]
    output: int


@dataclasses.dataclass(frozen=True)
class Graph:
    """The operations of a network in the order of their computation.

    Value 0 is the network's input; each node adds the next.

    Attributes:
        nodes: The operations.
        output: Number of the value that the network returns.
        names: Name of the layer that computed each value.
        input_shape: Shape of the input without the batch.
    """

    nodes: tuple[Node, ...]
    output: int
    names: tuple[str, ...]
    input_shape: tuple[int, ...]

    @functools.cached_property
    def pass_ends(self) -> list[int]:
        """The values where a backward pass ends: it needs boxes of them."""
        ends = (
            n.output for n in self.nodes if isinstance(n.operation, Monotone)
        )
        return [0, *ends]

    @functools.cached_property
    def exact_values(self) -> set[int]:
        """The values whose intervals are exact, entry by entry.

        Those are the values that one map without activation computes from the
        network's input.
        """
        mixed = {0: 0}  # How many maps that mix entries lie before each value.
        for node in self.nodes:
            if isinstance(node.operation, Linear) and node.inputs[0] in mixed:
                mixed[node.output] = mixed[node.inputs[0]] + (
                    not node.operation.diagonal
                )
        return {value for value, count in mixed.items() if count <= 1}

    @functools.cached_property
    def num_readers(self) -> collections.Counter[int]:
        """How often each value is read, the network's result included."""
        readers = collections.Counter([self.output])
        for node in self.nodes:
            readers.update(node.inputs)
        return readers

    def producer(self, value: int) -> Node | None:
        """Returns the node that computes a value, `None` for the input."""
        return self.nodes[value - 1] if value else None


def network_of(model: Any) -> keras.Model:
    """Returns the Keras graph of a model or of a wrapper around one.

    Args:
        model: A Functional or Sequential model, or a wrapper whose attribute
            `network` is one (or a wrapper in turn): a `RobustModel`, or an
            object that cannot be called. What a callable of your own does
            around its network cannot be seen: pass its network.

    Raises:
        InputError: If it is no Keras graph, or is not built.
    """
    network = model
    while not is_graph(network):
        inner = getattr(network, "network", None)
        if inner is None or inner is network:
            raise InputError(
                "bounds need the graph of a network: `model` must be a "
                "Functional or Sequential Keras model (a SavedModel or a "
                "subclassed model does not show its layers). Received: "
                f"{type(model).__name__}"
            )
        call = "call" if isinstance(network, keras.Layer) else "__call__"
        if package_of(getattr(type(network), call, None)) not in (
            "",  # It cannot be called.
            "hydra_tf",
        ):
            raise InputError(
                "bounds cannot see what a wrapper does around its `network`: "
                "pass its network, with what comes before it as layers in it. "
                f"Received: {type(network).__name__}"
            )
        network = inner
    if not network.built:
        raise InputError(
            f"model '{network.name}' is not built: call it once, or give it "
            "an Input"
        )
    return network


def trace(model: Any) -> Graph:
    """Returns the operations of a network.

    Kernels and biases are read now; trace again after they change.

    Args:
        model: See `network_of`.

    Raises:
        InputError: If a layer has no rule, or the network is not one of one
            input and one output that ends in logits.
    """
    network = network_of(model)
    check_has_no_softmax(network, "`model`", or_sigmoid=False)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise InputError(
            f"model '{network.name}' must have one input and one output for "
            f"bounds. Received: {len(network.inputs)} inputs, "
            f"{len(network.outputs)} outputs"
        )
    shape = tuple(network.inputs[0].shape[1:])
    if None in shape:
        raise InputError(
            f"model '{network.name}' must have an input of fixed size for "
            f"bounds. Received: input shape={shape}"
        )
    walked = walk(network, lambda layer: find_rule(layer) is not None)
    tracer = _Tracer()
    for call in walked.calls:
        tracer.record(call)
    output = tracer.number_of(walked.outputs[0])
    return _without_unread(tracer.nodes, output, shape)


def _without_unread(
    nodes: Sequence[Node], output: int, input_shape: tuple[int, ...]
) -> Graph:
    """Returns the graph of the nodes that the output depends on."""
    read = {output}
    for node in reversed(nodes):
        if node.output in read:
            read.update(node.inputs)
    numbers = {0: 0}
    kept: list[Node] = []
    for node in nodes:
        if node.output in read:
            numbers[node.output] = len(kept) + 1
            inputs = tuple(numbers[each] for each in node.inputs)
            kept.append(Node(node.name, node.operation, inputs, len(kept) + 1))
    names = ("input", *(node.name for node in kept))
    return Graph(tuple(kept), numbers[output], names, input_shape)


class _Tracer:
    """Records the operations of the calls of a network."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._numbers = {0: 0}  # Of values, by their numbers in the walk.

    def number_of(self, value: Value) -> int:
        """Returns the number of the value that a call reads or returns."""
        return self._numbers[value.number]

    def record(self, call: Call) -> None:
        """Adds the operations of one call."""
        result = _apply_rule(call)
        numbers = tuple(map(self.number_of, call.inputs))
        done: dict[Applied, int] = {}

        def number_of(source: int | Applied) -> int:
            if not isinstance(source, Applied):
                if not 0 <= source < len(numbers):
                    raise InputError(
                        f"the bounds rule of layer '{call.name}' reads input "
                        f"{source}, which it has not: it has {len(numbers)}, "
                        "counted from 0"
                    )
                return numbers[source]
            if source not in done:
                inputs = tuple(map(number_of, source.inputs))
                name = "/".join(filter(None, (call.name, source.name)))
                done[source] = self._add(name, source.operation, inputs)
            return done[source]

        number = number_of(result)
        for output in call.outputs:
            self._numbers[output.number] = number

    def _add(self, name: str, operation: Any, inputs: tuple[int, ...]) -> int:
        """Adds a node; returns the number of the value that it computes."""
        before = self.nodes[inputs[0] - 1] if inputs[0] else None
        if (
            isinstance(operation, Convolution)
            and before is not None
            and isinstance(before.operation, ZeroPadding)
        ):
            # One operation is faster than two, and where this is all that
            # reads the padded image, it is not made.
            operation = operation.padded(before.operation.padding)
            inputs = before.inputs
        number = len(self.nodes) + 1
        self.nodes.append(Node(name, operation, inputs, number))
        return number


def _apply_rule(call: Call) -> int | Applied:
    """Returns what a call computes: the result of a rule."""
    name, operation = call.name, call.operation
    rule = find_rule(operation)
    if rule is None:
        raise unsupported(name, operation)
    shapes: list[tuple] = [shape[1:] for shape in call.input_shapes]
    arguments = (operation, shapes, call)
    num_arguments = len(inspect.signature(rule).parameters)
    _check_settings(
        call, {"training"} if num_arguments > 2 else set(call.settings)
    )
    if call.constants and num_arguments < 3:
        raise unsupported(name, operation, "it reads a constant")
    result = rule(*arguments[:num_arguments])
    if isinstance(result, Applied):
        return result
    operations = as_operations(f"layer '{name}'", result)
    first = operations[0] if operations else None
    if isinstance(first, WeightedSum):
        if len(set(shapes)) > 1:
            raise unsupported(name, operation, f"it broadcasts {shapes}")
    elif not isinstance(first, Concatenation | Product) and len(shapes) != 1:
        raise unsupported(name, operation, "it has several inputs")
    applied: int | Applied = 0
    for each in operations:
        inputs = range(len(shapes)) if each is first else [applied]
        applied = Applied(each, tuple(inputs))
    return applied


def _check_settings(call: Call, names: Collection[str]) -> None:
    """Raises `InputError` if a call is none of inference, without options."""
    for key, value in call.settings.items():
        if key in names and (key != "training" or value):
            raise unsupported(
                call.name, call.operation, f"it is called with {key}={value!r}"
            )
