"""Densities that layers learn, and the whole counts they end as."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.layers.mask_settings import check_learns
from hydra_tf.ops.counts import check_density
from hydra_tf.ops.counts import kept_count
from hydra_tf.ops.granularity import WEIGHT
from hydra_tf.ops.granularity import is_n_of_m
from hydra_tf.pruning.allocation import allocate
from hydra_tf.pruning.allocation import check_complete
from hydra_tf.pruning.channels.costs import UnitCosts
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.channels.groups import connect_channels
from hydra_tf.pruning.compression import check_resource
from hydra_tf.pruning.naming import prunable_layers

# No layer's learned density falls below this part of the target.
_LEAST_SHARE = 0.1

_NAMES = {"weights": "weights", "flops": "FLOPs"}

# Where learned densities start, if the target is not above it.
_USUAL_START = 0.1


def learn_densities(
    model: keras.Model,
    density: float,
    *,
    initial: str | Mapping[str, float] = "uniform",
    initial_density: float | None = None,
    learns: str = "both",
) -> None:
    """Lets the layers of a model learn how much they keep, as in HARP.

    Every prunable layer (every group of layers that share channels) gets a
    scalar `rate`, which trains in the prune phase; its density is
    `least + (1 - least) * sigmoid(rate)`, where `least` is a tenth of the
    target, so that no layer dies. What pulls the densities to the target is
    the `compression` of `hydra_tf.RobustModel`. When training has ended,
    `settle_densities` turns what was learned into whole counts.

    Call it before `compile`. Called again, it sets the rates anew.

    Args:
        model: Model with masked layers, of any granularity but N:M.
        density: Float in (0, 1], the target for the whole model.
        initial: Densities to start from: the name of an allocation, or a
            mapping with one for each prunable layer, the same for layers that
            share channels.
        initial_density: Float in (0, 1] that the named allocation splits; by
            default 0.1, as in HARP, or the target if that is larger.
        learns: What trains in the prune phase: `"both"` rates and scores,
            `"rates"` or `"scores"` alone.

    Raises:
        InputError: If an argument is wrong, or there is nothing to learn. No
            layer has changed then.

    Example:

    >>> import hydra_tf
    >>> model = hydra_tf.to_masked(keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(5, name="logits")]))
    >>> learn_densities(model, 0.1, initial={"logits": 0.5})
    >>> layer = model.get_layer("logits")
    >>> round(float(layer.live_density), 6), round(layer.min_density, 6)
    (0.5, 0.01)

    Reference:

    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3
    """
    check_density(density)
    check_learns(learns)
    layers = prunable_layers(model)
    for name, layer in layers.items():
        if is_n_of_m(layer.granularity):
            raise InputError(
                f"layer '{name}' keeps {layer.granularity} weights: there is "
                "no density to learn"
            )
    starts = _starts(model, density, initial, initial_density)
    least = _LEAST_SHARE * float(density)
    connect_channels(model)
    for group in channel_groups(model):
        group.leader.learn_density(least, starts[group.names[0]])
    for layer in layers.values():
        layer.learns = learns


def _starts(
    model: keras.Model,
    density: float,
    initial: str | Mapping[str, float],
    initial_density: float | None,
) -> Mapping[str, float]:
    """The density from which each prunable layer starts."""
    if isinstance(initial, Mapping):
        if initial_density is not None:
            raise InputError(
                "`initial_density` is split by a named allocation: leave it "
                "out where `initial` has the densities. "
                f"Received: initial_density={initial_density!r}"
            )
        check_complete(model, initial)
        return {name: float(value) for name, value in initial.items()}
    if initial_density is None:
        initial_density = max(_USUAL_START, float(density))
    check_density(initial_density, "initial_density")
    if initial == "uniform":
        # Not a target yet: it may stand for less than one unit of a layer.
        return dict.fromkeys(prunable_layers(model), float(initial_density))
    return allocate(model, initial_density, initial)


def settle_densities(
    model: keras.Model, density: float, resource: str = "weights"
) -> dict[str, float]:
    """Turns learned densities into whole counts that meet the target.

    Each layer keeps what its learned density says, `ceil(density * units)`, if
    all of it together is within the target. If it is not, all counts shrink
    in proportion until it is, and what that leaves free goes, one unit a
    layer, to those that lost the largest part of one; at least one unit stays
    in each. The target is met exactly (single weights) or as nearly as whole
    channels can from below, as `sparsity_report` counts it. Densities are
    static from then on, and saved with the model.

    Call it when the prune phase has ended, and before the finetune phase. (A
    model that is not settled computes with its learned densities and can be
    saved, but its total is only near the target.) Where channels share units
    of several sizes, which of them stay follows from the scores of now.

    Args:
        model: Model with learned densities.
        density: Float in (0, 1], the target, as for `learn_densities`.
        resource: What the target counts: `"weights"` or `"flops"`.

    Returns:
        The densities by layer name, an allocation.

    Raises:
        InputError: If no density is learned, an argument is wrong, or even one
            unit in each layer is more than the target. Nothing has changed
            then.

    Example:

    >>> import hydra_tf
    >>> model = hydra_tf.to_masked(keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(5, name="logits")]))
    >>> hydra_tf.learn_densities(model, 0.1, initial={"logits": 0.5})
    >>> hydra_tf.settle_densities(model, 0.1)
    {'logits': 0.1}
    """
    check_density(density)
    check_resource(resource)
    layers = prunable_layers(model)
    costs = UnitCosts(model, resource)
    learned = [group.leader.rate is not None for group in costs.groups]
    if not any(learned):
        raise InputError(
            f"model '{model.name}' has no learned density to settle: "
            "learn_densities makes them trainable"
        )
    counts, least = _counts(costs)
    budget = _budget(costs, density, layers, resource)
    _check_least(costs, least, budget, density, resource)
    settled = cut_counts(counts, least, costs.of, budget)
    for group, count, movable in zip(
        costs.groups, settled, learned, strict=True
    ):
        if movable:
            group.leader.stop_learning_density(count / group.num_units)
    return {name: float(layer.density) for name, layer in layers.items()}


def check_target(
    model: keras.Model, density: float, resource: str = "weights"
) -> None:
    """Checks that learned densities can settle within a target.

    What `settle_densities` would say when training has ended, this says before
    it.

    Args:
        model: Model with learned densities.
        density: Float in (0, 1], the target.
        resource: What the target counts: `"weights"` or `"flops"`.

    Raises:
        InputError: If even one unit in each layer is more than the target.
    """
    check_density(density)
    check_resource(resource)
    costs = UnitCosts(model, resource)
    _, least = _counts(costs)
    budget = _budget(costs, density, prunable_layers(model), resource)
    _check_least(costs, least, budget, density, resource)


def _counts(costs: UnitCosts) -> tuple[list[int], list[int]]:
    """What each group keeps by its density of now, and what at least."""
    counts = [
        kept_count(group.leader.live_density.numpy(), group.num_units)
        for group in costs.groups
    ]
    least = [
        count if group.leader.rate is None else 1
        for count, group in zip(counts, costs.groups, strict=True)
    ]
    return counts, least


def _check_least(
    costs: UnitCosts,
    least: Sequence[int],
    budget: int,
    density: float,
    resource: str,
) -> None:
    """Raises `InputError` if the least that is possible is over the budget."""
    if costs.of(least) > budget:
        raise InputError(
            f"`density` is too small: {density} in every layer leaves "
            f"{budget:,} {_NAMES[resource]}, but one unit in each, the least "
            f"that is possible, already takes {costs.of(least):,}"
        )


def _budget(
    costs: UnitCosts,
    density: float,
    layers: Mapping[str, keras.Layer],
    resource: str,
) -> int:
    """The whole number that the cost may not exceed."""
    if resource == "weights" and all(
        layer.granularity == WEIGHT for layer in layers.values()
    ):
        return kept_count(density, costs.total)
    target = costs.at(float(density))
    # A sum of products that is meant as a whole number may lie just below.
    return math.floor(target * (1.0 + 8.0 * float(np.finfo(float).eps)))


def cut_counts(
    counts: Sequence[int],
    least: Sequence[int],
    cost: Callable[[Sequence[int]], int],
    budget: int,
) -> list[int]:
    """Lowers whole counts in proportion until their cost is within a budget.

    Args:
        counts: What to lower.
        least: What each keeps at least; together within the budget.
        cost: Function of counts that grows with each of them.
        budget: What the cost of the result does not exceed.

    Returns:
        Counts between `least` and `counts`; `counts` themselves if they are
        within the budget.

    Example:

    >>> cut_counts([10, 5, 1], [1, 1, 1], sum, 8)
    [5, 2, 1]
    """
    if cost(counts) <= budget:
        return list(counts)

    def scaled(scale: float) -> list[int]:
        return [
            max(math.floor(scale * count), bound)
            for count, bound in zip(counts, least, strict=True)
        ]

    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if cost(scaled(middle)) <= budget:
            low = middle
        else:
            high = middle
    result = scaled(low)
    # Rounded, so that a tie goes to the first and not to a rounding error.
    parts = [round(low * count % 1.0, 6) for count in counts]
    for index in sorted(range(len(counts)), key=lambda i: (-parts[i], i)):
        # One at its least may have more than its share already.
        if result[index] <= min(low * counts[index], counts[index] - 1):
            result[index] += 1
            if cost(result) > budget:
                result[index] -= 1
    return result
