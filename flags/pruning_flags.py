"""Flags of pruning: which weights stay, how many, and in which layers."""

from __future__ import annotations

import dataclasses
from typing import Any

from absl import flags

from flags import parsing

METHODS = ("hydra", "lwm", "lwm_multistep", "random", "snip")
SCORES = (
    "scaled",
    "magnitude",
    "random",
    "kaiming_uniform",
    "kaiming_normal",
    "xavier_uniform",
    "xavier_normal",
    "snip",
)

_METHOD = parsing.DEFINE_name(
    "method",
    "hydra",
    METHODS,
    "How weights are chosen: scores trained on the objective (hydra), least "
    "weight magnitude at once (lwm) or in rounds of pruning and training "
    "(lwm_multistep), at random, or by the loss' sensitivity (snip).",
)
_DENSITY = parsing.DEFINE_number(
    "density",
    0.1,
    "Fraction of the weights kept, in (0, 1]; 0.05 is 95 % sparsity.",
    lower=0,
    upper=1,
    exclude_lower=True,
    hint="the fraction of weights kept; for 95 % sparsity pass 0.05",
)
_ALLOCATION = parsing.DEFINE_name(
    "allocation",
    "uniform",
    ("uniform", "global", "erk"),
    "How the density is split over the layers: the same in each (uniform), "
    "one threshold over all (global), Erdos-Renyi-Kernel (erk), or a JSON "
    "file that gives each layer's density by its name.",
    or_else="a .json file of densities by layer name",
    accepts=lambda value: str(value).endswith(".json"),
)
_EXCLUDE = flags.DEFINE_list(
    "exclude",
    [],
    "Names of layers that are left as they are, separated by commas, such as "
    "those of a kind that can't be masked.",
)
_SCORES_INIT = parsing.DEFINE_name(
    "scores_init",
    None,
    SCORES,
    "Scores that pruning starts from. By default those of the method: scaled "
    "for hydra, lwm and lwm_multistep, random for random, snip for snip.",
)
_TRAIN_NORMALIZATION = flags.DEFINE_bool(
    "train_normalization",
    True,
    "Whether scale and offset of normalisation layers train in the prune "
    "phase.",
)
_PRUNING_SCHEDULE = parsing.DEFINE_name(
    "pruning_schedule",
    "polynomial",
    ("polynomial", "constant"),
    "How the density falls in lwm_multistep: gradually (polynomial), or to "
    "its final value in the first round (constant).",
)
_PRUNING_ROUNDS = parsing.DEFINE_count(
    "pruning_rounds",
    10,
    "Rounds of pruning and training in lwm_multistep, spread evenly over the "
    "prune phase; at most one per epoch.",
    lower=1,
)


@dataclasses.dataclass(frozen=True)
class PruningSettings:
    """Which weights stay; the fields are flags."""

    method: str
    density: float
    allocation: str
    exclude: tuple[str, ...]
    scores_init: str
    train_normalization: bool
    pruning_schedule: str
    pruning_rounds: int

    @property
    def trains(self) -> bool:
        """Whether the prune phase has anything to train."""
        return self.method in ("hydra", "lwm_multistep")

    def in_use(self) -> dict[str, Any]:
        """Returns the settings that the method reads, by name."""
        settings = dataclasses.asdict(self)
        if self.method != "lwm_multistep":
            del settings["pruning_schedule"], settings["pruning_rounds"]
        return settings

    def with_method(self, method: str) -> PruningSettings:
        """Returns the same density with another method's way to choose."""
        return dataclasses.replace(
            self, method=method, scores_init=default_scores(method)
        )


def default_scores(method: str) -> str:
    """Returns the score initialisation that a method is known by."""
    return {"random": "random", "snip": "snip"}.get(method, "scaled")


def pruning_from_flags() -> PruningSettings:
    """Returns the settings that the parsed flags stand for."""
    return PruningSettings(
        method=_METHOD.value,
        density=_DENSITY.value,
        allocation=_ALLOCATION.value,
        exclude=tuple(_EXCLUDE.value),
        scores_init=_SCORES_INIT.value or default_scores(_METHOD.value),
        train_normalization=_TRAIN_NORMALIZATION.value,
        pruning_schedule=_PRUNING_SCHEDULE.value,
        pruning_rounds=_PRUNING_ROUNDS.value,
    )
