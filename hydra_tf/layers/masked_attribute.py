"""The attribute of a masked layer that holds one of its masked weights."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.layers import kernel_scope


class MaskedAttribute:
    """A weight that is effective where a layer computes with it.

    Within a call it is the weight times its mask, so that the `call` of the
    plain layer computes with that; elsewhere it is the variable, to be
    assigned, regularised and saved.

    Args:
        name: Name of the attribute.
        plain_class: The layer's plain class, which may have a property of that
            name.
    """

    def __init__(self, name: str, plain_class: type) -> None:
        self._name = name
        self._inherited = getattr(plain_class, name, None)

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        if kernel_scope.is_computing():
            view = layer.view_of(self._name)
            if view is not None:
                return view.kernel_for_call()
        return self.variable_of(layer)

    def __set__(self, layer: Any, value: Any) -> None:
        if self._inherited is None:
            vars(layer)[self._name] = value
        else:
            self._inherited.__set__(layer, value)

    def variable_of(self, layer: Any) -> keras.Variable:
        """Returns the variable, wherever it is asked for."""
        if self._inherited is not None:
            return self._inherited.__get__(layer, type(layer))
        try:
            return vars(layer)[self._name]
        except KeyError:
            raise AttributeError(
                f"{type(layer).__name__!r} object has no attribute "
                f"{self._name!r}"
            ) from None
