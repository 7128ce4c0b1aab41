"""The masked layers of a model, by the name that reports and files use."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.layers import MaskedLayer


def masked_layers(model: keras.Model) -> dict[str, MaskedLayer]:
    """Returns the masked layers of a model by name, in graph order.

    The name is the layer's own. A layer that masks several weights, or none
    that is called `kernel`, has an entry for each (`"lstm_cell/kernel"`,
    `"embedding/embeddings"`) with the same attributes: `kernel`, `scores`,
    `density`, `mask`. Where layers of nested models share a name, each gets the
    names of what is around it in front: `"encoder/dense"`. A plain model gives
    an empty mapping; layers that are not built are left out.
    """
    found = paths_of_masked_layers(model)
    counts = collections.Counter(layer.name for _, layer in found)
    names: dict[str, MaskedLayer] = {}
    for path, layer in found:
        name = layer.name if counts[layer.name] == 1 else path
        suffix = 2
        unique = name
        while unique in names:
            unique = f"{name}_{suffix}"
            suffix += 1
        names[unique] = layer
    return names


def paths_of_masked_layers(
    model: keras.Model,
) -> list[tuple[str, MaskedLayer]]:
    """Returns each masked layer behind the names of the models it is in."""
    found: list[tuple[str, MaskedLayer]] = []
    _collect(model, "", found, set())
    return found


def layers_with_masks(model: keras.Model) -> dict[str, MaskedLayer]:
    """Returns `masked_layers(model)`.

    Raises:
        InputError: If there are none, or none is built.
    """
    layers = masked_layers(model)
    if layers:
        return layers
    if any(isinstance(inner, MaskedLayer) for inner in flatten_layers(model)):
        raise InputError(
            f"the masked layers of model '{model.name}' are not built: "
            "call it once, or give it an Input"
        )
    raise InputError(
        f"model '{model.name}' has nothing to prune: it holds no masked "
        "layer (hydra_tf.to_masked makes a masked copy)"
    )


def prunable_layers(model: keras.Model) -> dict[str, MaskedLayer]:
    """Returns the masked layers that have a density to choose.

    Those without are layers whose channels cannot be removed, such as the
    channels of the image.

    Raises:
        InputError: If there are none, or none is built.
    """
    prunable = {
        name: layer
        for name, layer in layers_with_masks(model).items()
        if layer.prunable
    }
    if prunable:
        return prunable
    raise InputError(
        f"model '{model.name}' has no channels that can be removed: those of "
        "the image, of the outputs, and of layers that are not masked have to "
        "stay"
    )


def _collect(
    layer: Any, prefix: str, found: list[tuple[str, MaskedLayer]], seen: set
) -> None:
    # One level at a time: the flattening of all levels is not in graph order.
    for inner in flatten_layers(layer, include_self=False, recursive=False):
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        if isinstance(inner, MaskedLayer) and inner.built:
            found += [(prefix + view.name, view) for view in inner.all_views()]
        _collect(inner, f"{prefix}{inner.name}/", found, seen)


def check_layer_names(
    given: Iterable[str], layers: Mapping[str, Any], argument: str
) -> None:
    """Raises `InputError` if a name is not a masked layer's."""
    for name in given:
        if name not in layers:
            raise InputError(
                f"`{argument}` names '{name}', which is no masked layer of "
                f"this model. {close_matches(name, layers)}"
            )
