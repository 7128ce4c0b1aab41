"""Flags of pruning: which weights stay, how many, and in which layers."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from absl import flags

from flags import allocation_flags
from flags import multistep_flags
from flags import parsing

METHODS = ("hydra", "harp", "lwm", "lwm_multistep", "random", "snip")
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
GRANULARITIES = ("weight", "channel", "filter")

_DEFAULT_DENSITY = 0.1
_N_OF_M = re.compile(r"^(\d{1,6}):(\d{1,6})$")


def n_of_m(granularity: str) -> tuple[int, int] | None:
    """Returns N and M of a granularity `N:M`, else `None`."""
    match = _N_OF_M.match(granularity)
    if not match:
        return None
    n, m = int(match.group(1)), int(match.group(2))
    return (n, m) if 0 < n < m else None


_METHOD = parsing.DEFINE_name(
    "method",
    "hydra",
    METHODS,
    "How weights are chosen: scores trained on the objective (hydra), with "
    "the density of each layer (harp), least weight magnitude (lwm), at "
    "random, or by the loss' sensitivity (snip). lwm_multistep is lwm with "
    "--multistep.",
)
_DENSITY = parsing.DEFINE_number(
    "density",
    None,
    "Fraction of the weights kept, in (0, 1]; 0.05 is 95 % sparsity. By "
    f"default {_DEFAULT_DENSITY}, and N/M where --granularity is N:M. Of "
    "channels or filters, it is the fraction of those.",
    lower=0,
    upper=1,
    exclude_lower=True,
    hint="the fraction of weights kept; for 95 % sparsity pass 0.05",
)
_GRANULARITY = parsing.DEFINE_name(
    "granularity",
    "weight",
    GRANULARITIES,
    "What is removed: single weights (weight), input channels (channel), "
    "output filters (filter), or all but N of every M consecutive input "
    "channels at each place of a kernel, as in 2:4.",
    or_else="N:M with 0 < N < M such as 2:4",
    accepts=lambda value: n_of_m(str(value)) is not None,
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
    "for hydra, harp and lwm, random for random, snip for snip.",
)
_TRAIN_NORMALIZATION = flags.DEFINE_bool(
    "train_normalization",
    True,
    "Whether scale and offset of normalisation layers train in the prune "
    "phase.",
)

# The settings that only one way of pruning reads.
_OF_LEARNED = ("rates", "learn", "compression_gamma", "compression_resource")
_OF_ROUNDS = ("pruning_schedule", "pruning_rounds")
_OF_TRAINED_ROUNDS = ("round_epochs", "round_learning_rate")


@dataclasses.dataclass(frozen=True)
class PruningSettings:
    """Which weights stay; the fields are flags.

    `rates` is what `--rates` was given, or `None`.
    """

    method: str
    density: float
    granularity: str
    allocation: str
    exclude: tuple[str, ...]
    scores_init: str
    train_normalization: bool
    rates: str | None
    learn: str
    compression_gamma: float
    compression_resource: str
    multistep: bool
    pruning_schedule: str
    pruning_rounds: int
    round_epochs: int
    round_learning_rate: float | None

    @property
    def scores(self) -> str:
        """As `hydra_tf.pruning.Pruning` has it."""
        return self.scores_init

    @property
    def gamma_step(self) -> float:
        """As `hydra_tf.pruning.Pruning` has it."""
        return self.compression_gamma

    @property
    def resource(self) -> str:
        """As `hydra_tf.pruning.Pruning` has it."""
        return self.compression_resource

    @property
    def schedule(self) -> str:
        """As `hydra_tf.pruning.Pruning` has it."""
        return self.pruning_schedule

    @property
    def rounds(self) -> int:
        """As `hydra_tf.pruning.Pruning` has it."""
        return self.pruning_rounds

    @property
    def trains_scores(self) -> bool:
        """Whether what is kept is chosen by training."""
        return self.method in ("hydra", "harp")

    @property
    def trains(self) -> bool:
        """Whether the prune phase has anything to train."""
        return self.trains_scores or self.multistep

    @property
    def learns_densities(self) -> bool:
        """Whether the density of each layer is trained."""
        return self.allocation == allocation_flags.LEARNED

    def in_use(self) -> dict[str, Any]:
        """Returns the settings that the method reads, by name."""
        settings = dataclasses.asdict(self)
        for used, names in (
            (self.learns_densities, _OF_LEARNED),
            (self.multistep, _OF_ROUNDS),
            (self.multistep and self.trains_scores, _OF_TRAINED_ROUNDS),
        ):
            if not used:
                for name in names:
                    del settings[name]
        return settings

    def with_method(self, method: str) -> PruningSettings:
        """Returns the same density with another method's way to choose."""
        allocation = self.allocation
        if method == "harp":
            allocation = allocation_flags.LEARNED
        elif self.learns_densities:
            allocation = "uniform"
        return dataclasses.replace(
            self,
            method=method,
            allocation=allocation,
            scores_init=default_scores(method),
            multistep=method == "lwm_multistep"
            or (self.multistep and self.method != "lwm_multistep"),
        )

    def as_flags(self) -> dict[str, Any]:
        """Returns the flags that differ where the method is another."""
        learned = self.learns_densities
        return {
            "method": self.method,
            "allocation": self.allocation,
            "scores_init": self.scores_init,
            "multistep": self.multistep,
            "rates": self.rates if learned else None,
            "learn": self.learn if learned else "both",
        }


def default_scores(method: str) -> str:
    """Returns the score initialisation that a method is known by."""
    return {"random": "random", "snip": "snip"}.get(method, "scaled")


def pruning_from_flags() -> PruningSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If they contradict each other.
    """
    split = allocation_flags.allocation_from_flags()
    steps = multistep_flags.multistep_from_flags()
    method, granularity = _METHOD.value, _GRANULARITY.value
    allocation = split.allocation
    if method == "hydra" and allocation == allocation_flags.LEARNED:
        # The same thing under its name.
        method = "harp"
    if allocation is None:
        allocation = allocation_flags.LEARNED if method == "harp" else "uniform"
    multistep = steps.multistep or method == "lwm_multistep"
    _check_allocation(method, allocation, multistep)
    _check_n_of_m(method, granularity, allocation, _DENSITY.value)
    pattern = n_of_m(granularity)
    density = _DENSITY.value
    if density is None:
        density = pattern[0] / pattern[1] if pattern else _DEFAULT_DENSITY
    scores = _SCORES_INIT.value or default_scores(method)
    if multistep and method in ("hydra", "harp") and scores == "snip":
        raise flags.ValidationError(
            f"flag --scores_init=snip: {method} with --multistep starts its "
            "scores anew in every round, without a batch of images"
        )
    resource = split.compression_resource
    if resource is None:
        resource = "weights" if granularity == "weight" else "flops"
    return PruningSettings(
        method=method,
        density=density,
        granularity=granularity,
        allocation=allocation,
        exclude=tuple(_EXCLUDE.value),
        scores_init=scores,
        train_normalization=_TRAIN_NORMALIZATION.value,
        rates=split.rates,
        learn=split.learn,
        compression_gamma=split.compression_gamma,
        compression_resource=resource,
        multistep=multistep,
        pruning_schedule=steps.pruning_schedule,
        pruning_rounds=steps.pruning_rounds,
        round_epochs=steps.round_epochs,
        round_learning_rate=steps.round_learning_rate,
    )


def check_methods(
    settings: PruningSettings, others: tuple[str, ...] = ()
) -> None:
    """Checks what only all methods of a run together can tell.

    Args:
        settings: Those of the main method.
        others: The methods that it is compared with.

    Raises:
        flags.ValidationError: If a flag has no reader among the methods, or
            one of them does not know the granularity.
    """
    each = [settings, *(settings.with_method(name) for name in others)]
    pattern = n_of_m(settings.granularity)
    for one in each[1:]:
        if pattern and one.learns_densities:
            raise flags.ValidationError(
                "flag --compare=harp: has nothing to learn with "
                f"--granularity={settings.granularity}, which fixes the "
                "density of every layer"
            )
    if pattern and any(one.multistep for one in each):
        raise flags.ValidationError(
            f"flag --granularity={settings.granularity}: removes all that it "
            "can at once, so there are no rounds; leave out --multistep and "
            "lwm_multistep"
        )
    learned = [one for one in each if one.learns_densities]
    if learned:
        if learned[0].multistep and settings.rates not in (
            None,
            *allocation_flags.RULES,
        ):
            raise flags.ValidationError(
                f"flag --rates={settings.rates}: densities start as each "
                "round of --multistep splits its own; name a rule"
            )
        return
    for name, value, default in (
        ("rates", settings.rates, None),
        ("learn", settings.learn, "both"),
    ):
        if value != default:
            raise flags.ValidationError(
                f"flag --{name}={value}: needs learned densities; pass "
                "--method=harp"
                + (", or --allocation to fix them" if name == "rates" else "")
            )


def _check_allocation(method: str, allocation: str, multistep: bool) -> None:
    """Raises an error if a method cannot have an allocation."""
    if multistep and allocation_flags.is_file(allocation):
        raise flags.ValidationError(
            f"flag --allocation={allocation}: a file has one density for each "
            "layer, but that of --multistep falls; name a rule"
        )
    learned = allocation == allocation_flags.LEARNED
    if method == "harp" and not learned:
        raise flags.ValidationError(
            f"flag --allocation={allocation}: harp learns its densities; to "
            f"start from these pass --rates={allocation}, to fix them "
            "--method=hydra"
        )
    if learned and method != "harp":
        raise flags.ValidationError(
            f"flag --allocation=learned: {method} trains no scores that a "
            "density could be learned with; pass --method=harp"
        )


def _check_n_of_m(
    method: str, granularity: str, allocation: str, density: float | None
) -> None:
    """Raises an error if flags contradict a granularity `N:M`."""
    pattern = n_of_m(granularity)
    if pattern is None:
        return
    fixed = f"--granularity={granularity} keeps {pattern[0]} of {pattern[1]}"
    if method == "harp":
        raise flags.ValidationError(
            f"flag --method=harp: {fixed} weights in every layer, so there is "
            "no density to learn; pass --method=hydra"
        )
    if allocation != "uniform":
        raise flags.ValidationError(
            f"flag --allocation={allocation}: {fixed} weights in every layer; "
            "leave --allocation out"
        )
    if density is not None and abs(density - pattern[0] / pattern[1]) > 1e-6:
        raise flags.ValidationError(
            f"flag --density={density:g}: {fixed} weights, which is "
            f"--density={pattern[0] / pattern[1]:g}"
        )
