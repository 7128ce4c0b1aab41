"""Flags of the densities of layers: given by a rule, by a file, or learned."""

from __future__ import annotations

import dataclasses

from flags import parsing

LEARNED = "learned"
# Those of `hydra_tf.pruning.allocation`.
RULES = ("uniform", "global", "erk", "lamp")

_DENSITIES = parsing.NumberParser(0, 1, exclude_lower=True)


def as_number(rates: str) -> float | None:
    """Returns the density that a value of `--rates` is, or `None`."""
    try:
        return _DENSITIES.parse(rates)
    except ValueError:
        return None


def is_file(value: str) -> bool:
    """Whether a value of `--allocation` or `--rates` names a file."""
    return value.endswith(".json")


_ALLOCATION = parsing.DEFINE_name(
    "allocation",
    None,
    (*RULES, LEARNED),
    "How the density is split over the layers: the same in each (uniform), "
    "one threshold over all (global), Erdos-Renyi-Kernel (erk), layer-adaptive "
    "magnitude (lamp), trained on the objective (learned), or a JSON file that "
    "gives each layer's density by its name. By default learned for harp, "
    "uniform for others.",
    or_else="a .json file of densities by layer name",
    accepts=is_file,
)
_RATES = parsing.DEFINE_name(
    "rates",
    None,
    RULES,
    "Densities that learned ones start from: those of a rule, a number for "
    "the same in each layer, or a JSON file by layer name; by default uniform. "
    "A rule splits 0.1, or the target where that is more; the target, too, "
    "where --learn=scores leaves densities as they are.",
    or_else="a density in (0, 1] or a .json file of densities by layer name",
    accepts=lambda value: is_file(value) or as_number(value) is not None,
)
_LEARN = parsing.DEFINE_name(
    "learn",
    "both",
    ("both", "scores", "rates"),
    "What the prune phase trains where densities are learned: scores and "
    "densities (both), or one of them alone.",
)
_COMPRESSION_GAMMA = parsing.DEFINE_number(
    "compression_gamma",
    0.01,
    "Weight of the compression loss of learned densities in the first epoch; "
    "it grows by as much every epoch until the target is reached. The recipe "
    "for ImageNet has 0.1.",
    lower=0,
    exclude_lower=True,
    hint="the weight of the compression loss in the first epoch",
)
_COMPRESSION_RESOURCE = parsing.DEFINE_name(
    "compression_resource",
    None,
    ("weights", "flops"),
    "What learned densities have to save. By default weights, and flops where "
    "channels or filters are removed.",
)


@dataclasses.dataclass(frozen=True)
class AllocationSettings:
    """How a density is split over the layers; the fields are flags.

    `None` stands for what the method or the granularity implies.
    """

    allocation: str | None
    rates: str | None
    learn: str
    compression_gamma: float
    compression_resource: str | None


def allocation_from_flags() -> AllocationSettings:
    """Returns the settings that the parsed flags stand for."""
    return AllocationSettings(
        allocation=_ALLOCATION.value,
        rates=_RATES.value,
        learn=_LEARN.value,
        compression_gamma=_COMPRESSION_GAMMA.value,
        compression_resource=_COMPRESSION_RESOURCE.value,
    )
