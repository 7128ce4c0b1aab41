"""The calls of other layers that the `call` of a composite layer makes."""

from __future__ import annotations

import contextlib
import dataclasses
import types
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.keras_internals import call_context
from hydra_tf.keras_internals import call_spec
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import node_of
from hydra_tf.keras_internals import set_class
from hydra_tf.keras_internals import takes_training
from hydra_tf.keras_internals import without_new_nodes

IsComposite = Callable[[Any], bool]


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a layer or of a `keras.ops` operation.

    Attributes:
        inside: The composite layers that it is in, from the outermost one.
        operation: The layer or operation.
        args: Its positional arguments, symbolic tensors among them.
        kwargs: Its keyword arguments, likewise.
        outputs: The symbolic tensors that it returns, flat.
    """

    inside: tuple[Any, ...]
    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Any, ...]


def open_layer(
    layer: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    is_composite: IsComposite,
) -> tuple[list[Step], list[Any]] | None:
    """Returns what a composite layer does with symbolic tensors.

    Args:
        layer: Built layer that has no weights but those of layers inside it.
        args: Positional arguments of its call.
        kwargs: Keyword arguments of its call.
        is_composite: Which of the layers inside it to open, too.

    Returns:
        The steps in the order of computation, and the tensors that it returns,
        flat: symbolic ones, and constants. `None` if its `call` does not
        consist of layers and `keras.ops`, reads weights of layers past their
        calls, or does something else in training.
    """
    held = flatten_layers(layer)
    inner = [each for each in held if each is not layer and is_composite(each)]
    with without_new_nodes(held):
        found = _opened(layer, args, kwargs, inner)
        if found is None and inner:
            # What closes it may be inside one of them.
            found = _opened(layer, args, kwargs, [])
    return found


def _opened(
    layer: Any, args: Sequence[Any], kwargs: dict[str, Any], inner: list[Any]
) -> tuple[list[Step], list[Any]] | None:
    modes: list[bool | None] = [None]
    if kwargs.get("training") is None and any(
        map(takes_training, [layer, *inner])
    ):
        modes.append(True)
    found = []
    for mode in modes:
        try:
            with call_context(layer) as context:
                recorder = _Recorder(flatten_layers(layer), context, mode)
                with recorder.opening(inner):
                    outputs = recorder.run(layer, tuple(args), kwargs)
            found.append((recorder.steps, _outputs(outputs)))
        # Anything: the call is a user's, and made for tensors.
        except Exception:
            return None
    inputs = _tensors((args, kwargs))
    first, *others = [_form(*each, inputs) for each in found]
    return found[0] if all(each == first for each in others) else None


class _HiddenError(Exception):
    """A call does what steps do not show."""


class _Recorder:
    """Runs calls on symbolic tensors and notes their steps."""

    def __init__(
        self, held: Sequence[Any], context: Any, training: bool | None
    ) -> None:
        self.steps: list[Step] = []
        self._held = {id(each) for each in held}
        self._seen: set[int] = set()
        self._inside: tuple[Any, ...] = ()
        self._context = context
        self._training = training

    @contextlib.contextmanager
    def opening(self, layers: Sequence[Any]) -> Iterator[None]:
        """Lets calls of layers be those of what is inside them."""
        classes = [(layer, type(layer)) for layer in layers]
        for layer, cls in classes:
            set_class(layer, self._opened_class(cls))
        try:
            yield
        finally:
            for layer, cls in classes:
                set_class(layer, cls)

    def _opened_class(self, cls: Any) -> type:
        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if not _tensors((args, kwargs)):
                return cls.__call__(layer, *args, **kwargs)
            before = len(self.steps), set(self._seen)
            try:
                return self.run(layer, args, kwargs)
            # As above. It stays one call.
            except Exception:
                del self.steps[before[0] :]
                self._seen = before[1]
                return cls.__call__(layer, *args, **kwargs)

        return types.new_class(
            cls.__name__,
            (cls,),
            exec_body=lambda namespace: namespace.update(
                __module__=cls.__module__, __call__=call
            ),
        )

    def run(self, layer: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Calls a layer, and notes the steps in it; returns its outputs."""
        self._note((args, kwargs))
        inside, training = self._inside, self._training
        if kwargs.get("training") is not None:
            self._training = kwargs["training"]
        elif takes_training(layer) and training is not None:
            kwargs = {**kwargs, "training": training}
        self._context.set_value("training", self._training)
        start = len(self.steps)
        self._inside = (*inside, layer)
        try:
            # What the layer itself would do before its call.
            args, kwargs = keras.tree.map_structure(
                lambda each: (
                    layer.dtype_policy.convert_input(
                        each, layer.autocast, layer.input_dtype
                    )
                    if isinstance(each, keras.KerasTensor)
                    else each
                ),
                (args, kwargs),
            )
            outputs = layer.call(*args, **kwargs)
            self._note(outputs)
        finally:
            self._inside, self._training = inside, training
            self._context.set_value("training", training)
        for step in self.steps[start:]:
            self._check(step)
        return outputs

    def _note(self, structure: Any) -> None:
        """Notes what makes tensors, each call behind those that it reads."""
        waiting = [(node_of(each), False) for each in _tensors(structure)]
        waiting.reverse()
        while waiting:
            node, is_next = waiting.pop()
            if is_next:
                self.steps.append(self._step(node))
            elif node is not None and id(node) not in self._seen:
                self._seen.add(id(node))
                waiting.append((node, True))
                read = _tensors((node.arguments.args, node.arguments.kwargs))
                waiting += [(node_of(each), False) for each in reversed(read)]

    def _step(self, node: Any) -> Step:
        kwargs = node.arguments.kwargs
        if takes_training(node.operation) and self._training is not None:
            given = kwargs.get("training")
            training = self._training if given is None else given
            kwargs = {**kwargs, "training": training}
        return Step(
            self._inside,
            node.operation,
            node.arguments.args,
            kwargs,
            tuple(node.outputs),
        )

    def _check(self, step: Step) -> None:
        """Raises `_HiddenError` if a step is not all that it does."""
        for each in keras.tree.flatten((step.args, step.kwargs)):
            # It may have been computed from weights.
            if isinstance(each, keras.Variable) or keras.ops.is_tensor(each):
                raise _HiddenError
            if callable(each):
                raise _HiddenError
        if isinstance(step.operation, keras.layers.Layer):
            if id(step.operation) in self._held or not step.operation.variables:
                return
            raise _HiddenError
        if any(map(callable, vars(step.operation).values())):
            raise _HiddenError
        # Shapes with a `None` in them are no shapes for tensors.
        call_spec(step.operation, step.args, step.kwargs)


def _tensors(structure: Any) -> list[Any]:
    return [
        each
        for each in keras.tree.flatten(structure)
        if isinstance(each, keras.KerasTensor)
    ]


def _outputs(structure: Any) -> list[Any]:
    """Returns the tensors of what a call returns, flat."""
    outputs = [
        each for each in keras.tree.flatten(structure) if each is not None
    ]
    symbolic = _tensors(outputs)
    if not symbolic or not all(
        keras.ops.is_tensor(each) or isinstance(each, keras.KerasTensor)
        for each in outputs
    ):
        raise _HiddenError
    return outputs


def _form(steps: Sequence[Step], outputs: Any, inputs: Sequence[Any]) -> list:
    """Returns what has to be equal if two calls do the same."""
    numbers: dict[int, int] = {}
    for tensor in inputs:
        numbers.setdefault(id(tensor), len(numbers))

    def plain(each: Any) -> Any:
        if isinstance(each, keras.KerasTensor):
            return "tensor", numbers[id(each)]
        return repr(each)

    form = []
    for step in steps:
        kwargs = {k: v for k, v in step.kwargs.items() if k != "training"}
        operation = step.operation
        is_layer = isinstance(operation, keras.layers.Layer)
        form.append(
            (
                id(operation) if is_layer else type(operation),
                [plain(each) for each in keras.tree.flatten(step.args)],
                [plain(each) for each in keras.tree.flatten(kwargs)],
            )
        )
        for tensor in step.outputs:
            numbers[id(tensor)] = len(numbers)
    return [*form, [plain(each) for each in outputs]]
