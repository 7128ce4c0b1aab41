"""Allocations by name, and from files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.pruning.allocation.pools import check_each_leaves_channels
from hydra_tf.pruning.density import check_densities
from hydra_tf.pruning.naming import prunable_layers
from hydra_tf.registry.allocations import ALLOCATIONS

NAMES = ALLOCATIONS.names


def allocate(
    model: keras.Model,
    density: float,
    allocation: str,
    *,
    nested: bool = False,
) -> dict[str, float]:
    """Splits a density over the layers by the name of the rule.

    Where masks remove single weights, rules other than `"uniform"` keep
    exactly `ceil(density * weights)` of all prunable weights, and at least one
    in each layer.

    Where masks remove channels, `density` is the fraction of the channels of
    each layer that a uniform allocation keeps; of the weights, that leaves
    about the square. The other rules keep other numbers of channels, but in
    total no more weights than that, and as many as whole channels allow.
    Layers that share channels get the same density.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1].
        allocation: `"uniform"`, `"global"`, `"erk"`, `"lamp"`, or
            `package.module:rule` of a function `(model, density)` that returns
            the density of each prunable layer by name.
        nested: Whether what the masks prune now is out of the question: no
            layer gets more than it keeps (the total may fall short of the
            target then), and pruned weights are not compared with others.
            Without effect on `"uniform"` and rules of one's own.

    Raises:
        InputError: If an argument is wrong, or layers keep N of M weights and
            the allocation is another than `"uniform"` with that density.
    """
    entry = ALLOCATIONS.entry(allocation)
    rule = entry.load()
    if entry.nests:
        return rule(model, density, nested=nested)
    densities = rule(model, density)
    check_complete(model, densities)
    return densities


def check_allocation(allocation: Any) -> None:
    """Raises `InputError` unless `allocation` is the name of a rule."""
    ALLOCATIONS.entry(allocation)


def read_densities(
    path: str | os.PathLike, model: keras.Model, argument: str = "allocation"
) -> dict[str, float]:
    """Returns the densities that a JSON file has for the layers of a model.

    Args:
        path: A file that holds one object: densities by layer name.
        model: Model with masked layers.
        argument: What the caller's argument is called.

    Raises:
        InputError: If there is no such file, or it does not fit the model.
    """
    where = f"`{argument}='{os.fspath(path)}'`"
    try:
        content = files.read_json(
            files.as_path(path), dict, "give each layer one density by name"
        )
        if content is None:
            raise InputError("it does not exist")
        check_complete(model, content, argument)
    except InputError as error:
        message = str(error).removeprefix(f"`{argument}` ")
        message = message.removeprefix(f"{files.as_path(path)} ")
        raise InputError(f"{where}: {message}") from error
    return content


def check_complete(
    model: keras.Model,
    densities: Mapping[str, Any],
    argument: str = "allocation",
) -> None:
    """Raises `InputError` unless a mapping has a density for every layer.

    For allocations from elsewhere: one made for another model is an error.

    Args:
        model: Model with masked layers.
        densities: By layer name.
        argument: What the caller's argument is called.
    """
    check_densities(model, densities, argument)
    for name in prunable_layers(model):
        if name not in densities:
            raise InputError(
                f"`{argument}` has no density for layer '{name}': it must name "
                "every masked layer of the model"
            )
    check_each_leaves_channels(model, densities, argument)
