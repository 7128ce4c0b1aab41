"""Allocations by name, and from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.masks import check_density
from hydra_tf.pruning.allocation.erdos_renyi import erk_counts
from hydra_tf.pruning.allocation.layer_adaptive import lamp_counts
from hydra_tf.pruning.allocation.one_threshold import global_counts
from hydra_tf.pruning.allocation.pools import allocation_of
from hydra_tf.pruning.allocation.pools import pools_of
from hydra_tf.pruning.allocation.same_density import uniform
from hydra_tf.pruning.allocation.settling import target_count
from hydra_tf.pruning.naming import check_layer_names
from hydra_tf.pruning.naming import prunable_layers

_RULES = {"global": global_counts, "erk": erk_counts, "lamp": lamp_counts}

NAMES = ("uniform", *_RULES)


def allocate(
    model: keras.Model,
    density: float,
    allocation: str,
    *,
    nested: bool = False,
) -> dict[str, float]:
    """Splits a density over the layers by the name of the rule.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights.
        allocation: `"uniform"`, `"global"`, `"erk"` or `"lamp"`.
        nested: Whether what the masks prune now is out of the question: no
            layer gets more than it keeps, and pruned weights are not compared
            with others. Of no effect where the masks keep less than `density`
            anyway, and on `"uniform"`.
    """
    check_allocation(allocation)
    if allocation == "uniform":
        return uniform(model, density)
    check_density(density)
    pools = pools_of(model, nested=nested)
    if sum(pool.limit for pool in pools) < target_count(pools, density):
        pools = pools_of(model)
    return allocation_of(pools, _RULES[allocation](pools, density))


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
    check_layer_names(densities, layers, "allocation")
    for name in layers:
        if name not in densities:
            raise InputError(
                f"`allocation` has no density for layer '{name}': it must name "
                "every masked layer of the model"
            )
        check_density(densities[name], f"allocation[{name!r}]")
