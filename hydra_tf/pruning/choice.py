"""Which weights of a model get masks, and which stay plain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import shows_layers
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_trainable_variables
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.maskable import axes_of_weights
from hydra_tf.layers.maskable import weights_of_class
from hydra_tf.pruning.phases import NORMALIZATIONS

# Their weights scale or bend units one by one, whatever the weights' rank.
_NEVER_PRUNED = (*NORMALIZATIONS, keras.layers.PReLU)


@dataclasses.dataclass
class Choice:
    """What of a model is masked.

    Attributes:
        masked: The layers to mask, each with the axes of its weights by name.
        left: Layers that stay plain since nothing is known of them, each with
            a weight that would have to be masked.
    """

    masked: list[tuple[Any, dict[str, KernelAxes]]]
    left: list[tuple[Any, keras.Variable]]

    @property
    def names(self) -> list[str]:
        """Names of the layers to mask."""
        return [layer.name for layer, _ in self.masked]

    def has_kernel(self, layer: Any) -> bool:
        """Whether a layer is masked, and by its kernel."""
        return any(
            each is layer and list(axes) == ["kernel"]
            for each, axes in self.masked
        )


def choose(
    model: keras.Model,
    is_excluded: Callable[[Any], bool],
    excluded: Sequence[str] = (),
) -> Choice:
    """Returns which layers of a model are masked, in graph order.

    Args:
        model: The model.
        is_excluded: Predicate of the layers to leave plain, with all that is
            inside them.
        excluded: Names of those, for errors.

    Raises:
        InputError: If a layer to mask is quantised or has LoRA weights.
    """
    choice = Choice([], [])
    seen: set[int] = set()

    def visit(layer: Any) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        # Nested models and wrappers have no weights of their own to exclude.
        if not (
            layer is model
            or shows_layers(layer)
            or isinstance(layer, keras.layers.Wrapper)
        ) and is_excluded(layer):
            return
        if not isinstance(layer, MaskedLayer):
            _choose_own(layer, choice, excluded)
        for inner in flatten_layers(layer, include_self=False, recursive=False):
            visit(inner)

    visit(model)
    # A wrapper may hold a weight of the layer inside it as its own.
    masked = {
        id(getattr(layer, name))
        for layer, axes in choice.masked
        for name in axes
    }
    choice.left = [
        (layer, variable)
        for layer, variable in choice.left
        if id(variable) not in masked
    ]
    return choice


def _choose_own(layer: Any, choice: Choice, excluded: Sequence[str]) -> None:
    if isinstance(layer, _NEVER_PRUNED):
        return
    if weights_of_class(type(layer)) and (
        getattr(layer, "quantization_mode", None)
        or getattr(layer, "lora_enabled", False)
    ):
        raise InputError(
            f"layer '{layer.name}' is quantised or has LoRA weights and can't "
            "be masked: convert the plain model, or leave the layer out with "
            f"`exclude={[*excluded, layer.name]}`"
        )
    axes = axes_of_weights(layer)
    if axes:
        choice.masked.append((layer, axes))
        return
    # Also where `trainable` is off, as for the layers that can be masked.
    choice.left.extend(
        (layer, variable)
        for variable in own_trainable_variables(layer)
        if len(variable.shape) >= 2
    )
