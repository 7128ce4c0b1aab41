"""The networks of the runs, and what is the same of some: groups over seeds."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from hydra_tf import text
from trainers.reporting import measured
from trainers.reporting.measured import Figures
from trainers.reporting.runs import Run

DENSE = "before pruning"
# Flags that do not tell one way of pruning from another: what the page sets
# apart in other ways, where things are, how they are measured and shown.
_NO_DIFFERENCE = {
    "cache",
    "compare",
    "data_dir",
    "dataset",
    "density",
    "image_channels",
    "image_size",
    "jit_compile",
    "method",
    "model",
    "output_dir",
    "overwrite",
    "preset",
    "profile_steps",
    "progress",
    "seed",
    "source",
    "steps_per_execution",
    "strategy",
    "tensorboard_images",
    "test_fraction",
    # What follows from the method.
    "prune_epochs",
    "scores_init",
}
# By which networks before pruning differ.
_OF_PRETRAINING = ("objective", "pretrain_epochs", "pretrain_learning_rate")


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A network whose accuracies are known.

    Attributes:
        run: Its run.
        phase: The phase that it is of.
        method: Pruning method, `None` before pruning and where nobody knows.
        variant: The method, and in what it differs from others of the method.
        density: Fraction of the weights that is left.
        target: The density that was asked for, or that which it has.
        figures: What was measured.
        setup: What has to be the same to be compared: data, network, ball.
    """

    run: Run
    phase: str
    method: str | None
    variant: str
    density: float
    target: float
    figures: Figures
    setup: str

    @property
    def seed(self) -> str:
        """The seed, as text."""
        seed = self.run.setting("seed")
        return "-" if seed is None else str(seed)

    @property
    def compression(self) -> float:
        """How many weights there were for each that is left."""
        return 1 / self.density if self.density else float("inf")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """Mean and deviation over seeds.

    Attributes:
        mean: The mean.
        deviation: Sample standard deviation, `None` of a single value.
        values: The values.
    """

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    def __str__(self) -> str:
        """Returns it in %, as `"79.2 ± 0.8 %"`."""
        if self.deviation is None:
            return text.percent(self.mean)
        return f"{100 * self.mean:.1f} ± {100 * self.deviation:.1f} %"


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Networks that differ in the seed alone; the lowest seed comes first."""

    variant: str
    target: float
    networks: tuple[Network, ...]

    def statistic(
        self, value: Callable[[Network], float | None]
    ) -> Statistic | None:
        """Returns mean and deviation, `None` if no network has a value."""
        values = [each for n in self.networks if (each := value(n)) is not None]
        if not values:
            return None
        return Statistic(
            statistics.fmean(values),
            statistics.stdev(values) if len(values) > 1 else None,
            tuple(values),
        )

    @property
    def natural(self) -> Statistic:
        """Natural accuracy."""
        found = self.statistic(lambda network: network.figures.natural)
        return found  # type: ignore[return-value]

    def robust(self, attack: str | None) -> Statistic | None:
        """Returns robust accuracy under an attack."""
        return self.statistic(
            lambda each: each.figures.robust.get(attack or "")
        )

    def certified(self, proof: str) -> Statistic | None:
        """Returns certified accuracy by a proof."""
        return self.statistic(lambda each: each.figures.certified.get(proof))

    @property
    def density(self) -> float:
        """What is left of the weights, on average."""
        return statistics.fmean(each.density for each in self.networks)


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What can be compared: the same data, network and ball.

    Attributes:
        name: What it is, in words.
        dense: The networks before pruning; `None` without any, or if they
            were not pretrained alike.
        groups: The pruned ones, by variant and from dense to sparse.
        attack: The attack that robust accuracy is compared under, or `None`.
    """

    name: str
    dense: Group | None
    groups: tuple[Group, ...]
    attack: str | None

    @property
    def variants(self) -> list[str]:
        """The variants, in the order of their colours."""
        return list(dict.fromkeys(group.variant for group in self.groups))

    @property
    def targets(self) -> list[float]:
        """The densities, from dense to sparse."""
        return sorted({group.target for group in self.groups}, reverse=True)

    def at(self, target: float) -> list[Group]:
        """Returns the groups of a density."""
        return [group for group in self.groups if group.target == target]

    @property
    def everything(self) -> list[Group]:
        """All groups, the dense one first."""
        return [*([self.dense] if self.dense else []), *self.groups]


def setups(runs: Sequence[Run]) -> list[Setup]:
    """Returns what of the finished networks can be compared, by setup."""
    pruned = [each for run in runs if (each := _pruned(run)) is not None]
    pruned = _with_variants(pruned)
    dense = [each for run in runs if (each := _dense(run)) is not None]
    names = list(dict.fromkeys(each.setup for each in [*pruned, *dense]))
    return [
        _setup(
            name,
            _once([each for each in dense if each.setup == name]),
            [each for each in pruned if each.setup == name],
        )
        for name in names
    ]


def _setup(name: str, dense: list[Network], pruned: list[Network]) -> Setup:
    keys = dict.fromkeys((each.variant, each.target) for each in pruned)
    groups = [
        Group(
            variant,
            target,
            _by_seed(
                each
                for each in pruned
                if (each.variant, each.target) == (variant, target)
            ),
        )
        for variant, target in sorted(keys, key=lambda key: (key[0], -key[1]))
    ]
    compared = pruned or dense
    return Setup(
        name,
        Group(DENSE, 1.0, _by_seed(dense)) if _alike(dense) else None,
        tuple(groups),
        measured.trusted([set(each.figures.robust) for each in compared]),
    )


def _alike(dense: list[Network]) -> bool:
    """Whether there are dense networks, and only seeds tell them apart."""
    # What is not recorded, as of a phase that ran alone, tells nothing.
    values = (
        {str(each.run.setting(name)) for each in dense} - {"None"}
        for name in _OF_PRETRAINING
    )
    return bool(dense) and all(len(each) <= 1 for each in values)


def _by_seed(networks: Iterable[Network]) -> tuple[Network, ...]:
    return tuple(sorted(networks, key=lambda each: each.seed.zfill(9)))


def _once(networks: list[Network]) -> list[Network]:
    """Returns dense networks without those that runs have in common.

    Runs of one seed begin with the same pretraining, done anew or not.
    """
    known: set[Any] = set()
    found = []
    # Of equal ones that about which most is known.
    for each in sorted(networks, key=lambda each: -len(each.figures.robust)):
        identities = {(each.seed, *map(each.run.setting, _OF_PRETRAINING))}
        if "checkpoint" in each.run.phases["pretrain"]:
            identities.add(each.run.phases["pretrain"]["checkpoint"])
        if not identities & known:
            found.append(each)
        known |= identities
    return found


def _dense(run: Run) -> Network | None:
    figures = measured.of(run, "pretrain")
    if figures is None or "pretrain" not in run.phases:
        return None
    return Network(
        run, "pretrain", None, DENSE, 1.0, 1.0, figures, _setup_of(run, figures)
    )


def _pruned(run: Run) -> Network | None:
    """Returns the network that a finished run has pruned."""
    phase = run.last_phase
    sparsity = run.metrics.get("sparsity")
    if phase in (None, "pretrain") or not run.is_finished or not sparsity:
        return None
    figures = measured.of(run, phase)
    if figures is None:
        return None
    target = run.number("density")
    density = sparsity["density"]
    if target is None or str(run.setting("allocation") or "").endswith(".json"):
        target = float(f"{density:.2g}")
    method = run.setting("method")
    return Network(
        run,
        phase,
        method,
        method or "pruned",
        density,
        # A finetuned network's is what it has, that of its origin's was asked.
        float(f"{target:.3g}"),
        figures,
        _setup_of(run, figures),
    )


def _setup_of(run: Run, figures: Figures) -> str:
    data = (run.metrics.get("dataset") or {}).get("name")
    words = [data or run.setting("dataset"), run.setting("model"), figures.ball]
    return ", ".join(str(word) for word in words if word)


def _with_variants(networks: list[Network]) -> list[Network]:
    """Returns networks with in what they differ from others of the method."""
    named = []
    for network in networks:
        others = [
            each
            for each in networks
            if (each.method, each.setup) == (network.method, network.setup)
        ]
        settings = [_telling(each) for each in others]
        own = _telling(network)
        # A flag that is not recorded is none that the run reads.
        words = [
            f"{name.replace('_', ' ')} {own[name]}"
            for name in sorted(own)
            if len({str(each[name]) for each in settings if name in each}) > 1
        ]
        variant = ", ".join([network.method or "pruned", *words])
        named.append(dataclasses.replace(network, variant=variant))
    return named


def _telling(network: Network) -> dict[str, Any]:
    """Returns the settings that tell ways of pruning apart."""
    run = network.run
    settings = dict(run.origin.flags if run.origin else {}) | run.flags
    return {
        name: value
        for name, value in settings.items()
        if name not in _NO_DIFFERENCE and not name.startswith("eval_")
    } | {"phase": network.phase}
