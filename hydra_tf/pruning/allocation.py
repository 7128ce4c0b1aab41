"""How a global density is split over the layers.

Every allocation is a mapping from layer name to density, for `set_density`.
The densities other than uniform ones are ratios of whole counts that add up
to `ceil(density * weights)` (or more, where every layer's single weight
already exceeds that).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.masks import check_density
from hydra_tf.masks import kept_count
from hydra_tf.pruning.naming import check_layer_names
from hydra_tf.pruning.naming import prunable_layers


def uniform(model: keras.Model, density: float) -> dict[str, float]:
    """Gives every layer the same density, as HYDRA does.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1].
    """
    check_density(density)
    return dict.fromkeys(prunable_layers(model), float(density))


def global_threshold(
    model: keras.Model, density: float, *, by: str = "magnitude"
) -> dict[str, float]:
    """Keeps the largest values of all layers together: one threshold.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights.
        by: What is compared over the layers: `"magnitude"` (of the kernels)
            or `"scores"` (their magnitude).

    Returns:
        Densities that keep, per layer, as many entries as exceed the
        threshold, at least one.
    """
    check_density(density)
    if by not in ("magnitude", "scores"):
        raise InputError(f"`by` must be 'magnitude' or 'scores', not '{by}'")
    layers = prunable_layers(model)
    values = [
        np.abs(
            np.ravel(
                keras.ops.convert_to_numpy(
                    layer.kernel if by == "magnitude" else layer.scores
                )
            )
        )
        for layer in layers.values()
    ]
    sizes = [value.size for value in values]
    # Stable: ties go to the earlier layer and the lower index, as in a mask.
    order = np.argsort(-np.concatenate(values), kind="stable")
    kept = order[: kept_count(density, sum(sizes))]
    owner = np.repeat(np.arange(len(sizes)), sizes)[kept]
    counts = np.bincount(owner, minlength=len(sizes))
    return _densities(layers, _settle(counts, sizes, density))


def erk(model: keras.Model, density: float) -> dict[str, float]:
    """Erdos-Renyi-Kernel: small layers keep more than large ones.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights.

    Reference:

    - [Evci et al., 2020](https://arxiv.org/abs/1911.11134), section 3
    """
    layers = prunable_layers(model)
    shapes = [tuple(layer.kernel.shape) for layer in layers.values()]
    sizes = [math.prod(shape) for shape in shapes]
    counts = [
        round(fraction * size)
        for fraction, size in zip(
            erk_densities(shapes, density), sizes, strict=True
        )
    ]
    return _densities(layers, _settle(counts, sizes, density))


def erk_densities(
    shapes: Sequence[tuple[int, ...]], density: float
) -> list[float]:
    """Returns the unrounded ERK densities of kernels.

    A layer's density is proportional to the sum of its kernel's dimensions
    over their product; those that would exceed 1 are dense.

    Args:
        shapes: Kernel shapes, `(in, out)` or `(height, width, in, out)`.
        density: Float in (0, 1] of all weights together.
    """
    check_density(density)
    sizes = [math.prod(shape) for shape in shapes]
    ratios = [
        sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)
    ]
    dense: set[int] = set()
    while True:
        sparse = [i for i in range(len(shapes)) if i not in dense]
        budget = density * sum(sizes) - sum(sizes[i] for i in dense)
        scale = budget / max(sum(ratios[i] * sizes[i] for i in sparse), 1)
        over = {i for i in sparse if scale * ratios[i] > 1}
        if not over:
            break
        dense |= over
    return [
        1.0 if i in dense else scale * ratios[i] for i in range(len(shapes))
    ]


_RULES = {"uniform": uniform, "global": global_threshold, "erk": erk}

NAMES = tuple(_RULES)


def allocate(
    model: keras.Model, density: float, allocation: str
) -> dict[str, float]:
    """Splits a density over the layers by the name of the rule.

    Args:
        model: Model with masked layers.
        density: Float in (0, 1] of all prunable weights.
        allocation: `"uniform"`, `"global"` or `"erk"`.
    """
    if allocation not in _RULES:
        raise InputError(
            f"unknown `allocation` '{allocation}'. "
            f"{close_matches(allocation, _RULES)}"
        )
    return _RULES[allocation](model, density)


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


def _settle(
    counts: Sequence[int], sizes: Sequence[int], density: float
) -> list[int]:
    """Moves whole counts to the exact total, at least one weight a layer.

    What is left over goes to (or comes from) the largest layers, where a
    weight more or less changes the density least.
    """
    target = max(kept_count(density, sum(sizes)), len(sizes))
    settled = [
        min(max(int(count), 1), size)
        for count, size in zip(counts, sizes, strict=True)
    ]
    by_size = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    missing = target - sum(settled)
    while missing:
        for i in by_size:
            if missing > 0 and settled[i] < sizes[i]:
                settled[i] += 1
                missing -= 1
            elif missing < 0 and settled[i] > 1:
                settled[i] -= 1
                missing += 1
            if not missing:
                break
    return settled


def _densities(
    layers: Mapping[str, Any], counts: Sequence[int]
) -> dict[str, float]:
    return {
        name: count / math.prod(layer.kernel.shape)
        for (name, layer), count in zip(layers.items(), counts, strict=True)
    }
