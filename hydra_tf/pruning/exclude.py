"""Which layers stay plain: those a user names, and those that have to be."""

from __future__ import annotations

import fnmatch
import math
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import own_trainable_variables

Predicate = Callable[[keras.layers.Layer], bool]
Exclude = Predicate | Iterable[str] | None


def exclusion(model: keras.Model, exclude: Exclude) -> Predicate:
    """Returns the predicate of the layers that a user wants to leave plain.

    Args:
        model: The model.
        exclude: As for `hydra_tf.to_masked`.

    Raises:
        InputError: If it is neither a predicate nor names or patterns that
            layers of the model have.
    """
    if exclude is None:
        return lambda layer: False
    if callable(exclude):
        return exclude
    entries = named(exclude)
    if not all(isinstance(entry, str) for entry in entries):
        raise InputError(
            "`exclude` must be a list of names of layers or of patterns such "
            "as 'block1_*', or a predicate such as lambda layer: "
            f"layer.name == 'logits'. Received: exclude={exclude!r}"
        )
    layers = flatten_layers(model, include_self=False)
    # Its name stands for weights that it holds itself.
    itself = [model] if matrices_of(model) else []
    known = {layer.name for layer in (*itself, *layers)}
    matches = {
        entry: {entry} & known or set(fnmatch.filter(known, entry))
        for entry in entries
    }
    unknown = [entry for entry in matches if not matches[entry]]
    if unknown:
        are = "is no layer" if len(unknown) == 1 else "are no layers"
        hints = (close_matches(name, known) for name in unknown)
        raise InputError(
            f"`exclude` names {', '.join(map(repr, unknown))}, which {are} of "
            f"the model. {' '.join(dict.fromkeys(hints))} A pattern such as "
            "'block1_*' stands for several, in Python a predicate "
            "(exclude=lambda layer: ...) for any"
        )
    names = set().union(*matches.values())
    # With all that lies in nested models of these names.
    excluded = {
        id(inner)
        for layer in layers
        if layer.name in names
        for inner in flatten_layers(layer)
    }
    excluded |= {id(each) for each in itself if each.name in names}
    return lambda layer: id(layer) in excluded


def matrices_of(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Returns the weights of a layer itself that may be kernels.

    Also where `trainable` is off, as for the layers that can be masked.
    """
    return [
        variable
        for variable in own_trainable_variables(layer)
        if len(variable.shape) >= 2
    ]


def named(exclude: Any) -> list[Any]:
    """Returns the names and patterns of `exclude`; none of a predicate."""
    if exclude is None or callable(exclude):
        return []
    if isinstance(exclude, Iterable) and not isinstance(exclude, str):
        return list(exclude)
    return [exclude]


def leave_out(
    layers: Sequence[keras.layers.Layer],
    others: Iterable[str] = (),
    excluded: Sequence[str] = (),
) -> str:
    """Returns how to leave layers out, the end of a message that names them.

    Args:
        layers: The layers.
        others: Names of layers that must not be left out with them.
        excluded: Names and patterns of those that are left out already.
    """
    kinds: dict[type, list[str]] = {}
    for layer in layers:
        kinds.setdefault(type(layer), []).append(layer.name)
    entries = list(excluded)
    for names in kinds.values():
        pattern = os.path.commonprefix(names) + "*"
        # Short, if it hits nothing else.
        fits = len(names) > 2 and len(pattern) > 3
        if fits and not fnmatch.filter(others, pattern):
            names = [pattern]
        entries += names
    return f"`exclude={list(dict.fromkeys(entries))}`"


def unmaskable(
    found: Sequence[tuple[keras.layers.Layer, Any]],
    others: Iterable[str],
    excluded: Sequence[str],
) -> InputError:
    """Returns the error about weights that nothing is known of.

    Args:
        found: The layers, each with a weight that would have to be masked.
        others: Names of layers that can be masked.
        excluded: Names and patterns of those that are left out already.
    """
    layers = list({id(layer): layer for layer, _ in found}.values())
    kind = " | ".join(_by_kind(layers))
    if len(layers) == 1:
        layer, variable = found[0]
        what = (
            f"layer '{layer.name}' ({type(layer).__name__}) can't be masked: "
            f"nothing says how to mask its weight '{variable.name}' of shape "
            f"{tuple(variable.shape)}"
        )
    else:
        what = (
            f"{len(layers)} layers can't be masked, as nothing says how to: "
            f"{_listed(layers)}"
        )
    return InputError(
        f"{what}. Leave out what is to stay as it is with "
        f"{leave_out(layers, others, excluded)}, or in Python "
        f"with a predicate, exclude=lambda layer: isinstance(layer, {kind}); "
        "hydra_tf.register_maskable(layer_class, weights=[...]) adds more kinds"
    )


def left_dense(
    found: Sequence[tuple[keras.layers.Layer, Any]], model: keras.Model
) -> str:
    """Returns the warning about weights that stay plain.

    Args:
        found: As for `unmaskable`.
        model: The plain model.
    """
    layers = list({id(layer): layer for layer, _ in found}.values())
    size = sum(math.prod(variable.shape) for _, variable in found)
    share = size / max(sum(math.prod(v.shape) for v in model.weights), 1)
    return (
        f"weights of {len(layers)} layer{'s' if len(layers) > 1 else ''}, "
        f"{share:.1%} of those of '{model.name}', stay dense, as nothing says "
        f"how to mask them: {_listed(layers)}. "
        "hydra_tf.register_maskable masks more kinds, "
        f"{leave_out(layers)} leaves them out without a warning, strict=True "
        "refuses"
    )


def _by_kind(layers: Sequence[keras.layers.Layer]) -> dict[str, list[str]]:
    """Names of layers by the name of their class."""
    kinds: dict[str, list[str]] = {}
    for layer in layers:
        kinds.setdefault(type(layer).__name__, []).append(layer.name)
    return kinds


def _listed(layers: Sequence[keras.layers.Layer]) -> str:
    return "; ".join(
        f"{', '.join(map(repr, names))} ({kind})"
        for kind, names in _by_kind(layers).items()
    )
