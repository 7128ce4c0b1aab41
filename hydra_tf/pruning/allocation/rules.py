"""Allocations by name, and from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.allocation.erk import erk_counts
from hydra_tf.pruning.allocation.global_threshold import global_counts
from hydra_tf.pruning.allocation.lamp import lamp_counts
from hydra_tf.pruning.allocation.pools import Pools
from hydra_tf.pruning.allocation.pools import check_each_leaves_channels
from hydra_tf.pruning.allocation.pools import check_leaves_channels
from hydra_tf.pruning.allocation.uniform import uniform
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.naming import check_layer_names
from hydra_tf.pruning.naming import masked_layers
from hydra_tf.pruning.naming import prunable_layers

_RULES = {"global": global_counts, "erk": erk_counts, "lamp": lamp_counts}

NAMES = ("uniform", *_RULES)


def allocate(
    model: keras.Model,
    density: float,
    allocation: str,
    *,
    nested: bool = False,
    strict: bool = True,
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
        allocation: `"uniform"`, `"global"`, `"erk"` or `"lamp"`.
        nested: Whether what the masks prune now is out of the question: no
            layer gets more than it keeps (the total may fall short of the
            target then), and pruned weights are not compared with others.
            Without effect on `"uniform"`.
        strict: Whether a density that is less than one channel of some layer
            is an error. If not, such a layer keeps one (without effect on
            `"uniform"`).

    Raises:
        InputError: If an argument is wrong, or layers keep N of M weights and
            the allocation is another than `"uniform"` with that density.
    """
    check_allocation(allocation)
    if allocation == "uniform":
        return uniform(model, density)
    if strict:
        check_leaves_channels(model, density)
    check_density(density)
    pools = Pools(model, nested=nested)
    return pools.allocation(_RULES[allocation](pools, density))


def check_allocation(allocation: Any) -> None:
    """Raises `InputError` unless `allocation` is the name of a rule."""
    if allocation not in NAMES:
        raise InputError(
            f"unknown `allocation` '{allocation}'. "
            f"{close_matches(str(allocation), NAMES)}"
        )


def check_complete(model: keras.Model, densities: Mapping[str, Any]) -> None:
    """Raises `InputError` unless a mapping has a density for every layer.

    For allocations from a file: one made for another model is an error.
    """
    layers = prunable_layers(model)
    check_layer_names(densities, masked_layers(model), "allocation")
    for name in densities:
        if name not in layers:
            raise InputError(
                f"`allocation` names layer '{name}', whose channels cannot be "
                "removed: leave it out"
            )
    for name in layers:
        if name not in densities:
            raise InputError(
                f"`allocation` has no density for layer '{name}': it must name "
                "every masked layer of the model"
            )
        check_density(densities[name], f"allocation[{name!r}]")
    for group in channel_groups(model):
        first = group.names[0]
        for name in group.names[1:]:
            if float(densities[name]) != float(densities[first]):
                raise InputError(
                    f"`allocation` gives layer '{first}' the density "
                    f"{densities[first]} and '{name}' {densities[name]}: they "
                    "share their channels, so both need the same"
                )
    check_each_leaves_channels(model, dict(densities), "allocation")
