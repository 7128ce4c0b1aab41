"""Which operations a layer stands for."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import TypeVar

import keras

from hydra_tf.bounds.operations import OPERATIONS
from hydra_tf.bounds.operations import Applied
from hydra_tf.bounds.operations import Operation
from hydra_tf.errors import InputError
from hydra_tf.graph import class_of
from hydra_tf.graph import redefines

Rule = Callable[..., Operation | Sequence[Operation] | Applied]
_RuleT = TypeVar("_RuleT", bound=Rule)

_rules: dict[type, Rule] = {}

# Keras' functional operations have no public classes: by name.
_named_rules: dict[str, Rule] = {}


def register_rule(*layer_classes: type) -> Callable[[_RuleT], _RuleT]:
    """Decorator that registers how bounds go through a class of layers.

    The rule takes a built layer and returns the operation that it performs in
    inference mode, or a list of those, one after the other (an empty list is
    the identity); for what is no sequence, an `Applied` says what is read. If
    the rule has a second parameter, it gets the shapes of the
    inputs there, a list of tuples without the batch axis; with a third one also
    the `hydra_tf.graph.Call`, whose constants and options it has to see to (a
    call with such is refused otherwise). Tensors and variables
    of the layer are passed on as they are, so that gradients reach them. The
    rule counts for subclasses too, unless they redefine `call` or another
    method that may take part in it; a later rule replaces an earlier one.

    Args:
        *layer_classes: Classes of Keras layers.

    Example:
        ```python
        class Affine(keras.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight(shape=(input_shape[-1],))
                self.shift = self.add_weight(shape=(input_shape[-1],))

            def call(self, inputs):
                return inputs * self.scale + self.shift


        @ht.bounds.register_rule(Affine)
        def _(layer):
            return ht.bounds.Linear(
                lambda x, scale: x * scale,
                kernel=layer.scale,
                bias=layer.shift,
                diagonal=True,
            )
        ```
    """
    for cls in layer_classes:
        if not isinstance(cls, type):
            raise InputError(
                f"register_rule() takes classes of layers. Received: {cls!r}"
            )

    def register(rule: _RuleT) -> _RuleT:
        for cls in layer_classes:
            _rules[cls] = rule
        return rule

    return register


def register_named_rule(*names: str) -> Callable[[_RuleT], _RuleT]:
    """As `register_rule`, for operations of `keras.ops` by class name."""

    def register(rule: _RuleT) -> _RuleT:
        for name in names:
            _named_rules[name] = rule
        return rule

    return register


def find_rule(operation: Any) -> Rule | None:
    """Returns the rule of a layer or of a `keras.ops` operation, if any."""
    cls = class_of(operation)
    for base in cls.__mro__:
        if base in _rules:
            return None if redefines(cls, base) else _rules[base]
    # A layer or operation of someone else's may have the same name.
    if cls.__module__.split(".")[0] != "keras":
        return None
    return (
        None if issubclass(cls, keras.Layer) else _named_rules.get(cls.__name__)
    )


def as_operations(name: str, result: Any) -> list[Operation]:
    """Returns what a rule returned as a list, checked.

    Args:
        name: What messages call the layer.
        result: What the rule returned.
    """
    operations = list(result) if isinstance(result, list | tuple) else [result]
    for operation in operations:
        if not isinstance(operation, OPERATIONS):
            raise InputError(
                f"the bounds rule of {name} must return operations of "
                f"hydra_tf.bounds, such as Linear. Received: {operation!r}"
            )
    return operations


def unsupported(name: str, operation: Any, why: str = "") -> InputError:
    """Returns the error for a layer that no rule covers.

    Args:
        name: The layer's name.
        operation: The layer.
        why: What about it is not covered, if not its class.
    """
    kind = type(operation).__name__
    return InputError(
        f"no bounds for layer '{name}' ({kind}){why and ': ' + why}; leave it "
        "out, or register a rule for its class: "
        f"@hydra_tf.bounds.register_rule({kind})"
    )
