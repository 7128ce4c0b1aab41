"""Which weights of a model get masks, and which stay plain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import package_of
from hydra_tf.graph import redefines
from hydra_tf.graph import shows_layers
from hydra_tf.keras_internals import attributes_read
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.maskable import axes_of_weights
from hydra_tf.layers.maskable import listed_base
from hydra_tf.layers.maskable import weights_of_class
from hydra_tf.pruning.exclude import matrices_of
from hydra_tf.pruning.phases import NORMALIZATIONS

# Their weights scale or bend units one by one, whatever the weights' rank.
_NEVER_PRUNED = (*NORMALIZATIONS, keras.layers.PReLU)


@dataclasses.dataclass
class Choice:
    """What of a model is masked.

    Attributes:
        masked: The layers to mask, each with the axes of its weights by name.
        left: Weights that would have to be masked and stay plain, since
            nothing is known of them, each behind its layer.
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
        if not isinstance(layer, MaskedLayer) and not (
            # Of the model, its own weights and not all that is inside it.
            layer is model and matrices_of(model) and is_excluded(model)
        ):
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
        _check_read(layer, axes, excluded)
        choice.masked.append((layer, axes))
        # A subclass may have matrices that its base class has not.
        if listed_base(type(layer)) is type(layer):
            return
    known = {id(getattr(layer, name)) for name in axes}
    if axes:
        # That of attention and of GRUs is a matrix.
        known.add(id(getattr(layer, "bias", None)))
    choice.left.extend(
        (layer, variable)
        for variable in matrices_of(layer)
        if id(variable) not in known
    )


def _check_read(
    layer: Any, names: Collection[str], excluded: Sequence[str]
) -> None:
    """Raises `InputError` if a layer's `call` reads none of some attributes.

    Masks of weights that it reads from elsewhere would do nothing.
    """
    cls, base = type(layer), listed_base(type(layer))
    if package_of(cls) == "keras" or (
        base is not None and base is not cls and not redefines(cls, base)
    ):
        return
    read = attributes_read(layer)
    # Some are only read in other calls, as by `reverse=True`.
    if read is None or not read.isdisjoint(names):
        return
    raise InputError(
        f"layer '{layer.name}' ({type(layer).__name__}) can't be masked: its "
        f"`call` does not read {' or '.join(f'self.{n}' for n in names)}, so "
        "that masks would do nothing. Let it read the weight there, say with "
        "hydra_tf.register_maskable(layer_class, weights=[...]) where it does, "
        f"or leave the layer out with `exclude={[*excluded, layer.name]}`"
    )
