"""The settings of pruning, and which of them contradict each other.

Free of TensorFlow, as flags are checked by them at once. With a network they do
what `hydra_tf.Pruning` does.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any
from typing import ClassVar
from typing import TypeVar

from hydra_tf.errors import InputError
from hydra_tf.registry import granularities
from hydra_tf.registry import methods
from hydra_tf.registry.allocations import ALLOCATIONS
from hydra_tf.registry.allocations import LEARNED
from hydra_tf.registry.allocations import is_file
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.methods import MethodEntry
from hydra_tf.registry.scores import SCORES
from hydra_tf.registry.settings import Setting
from hydra_tf.registry.table import Registry

# The settings that only one way of pruning reads.
_OF_LEARNED = ("rates", "learn", "gamma_step", "resource")
_OF_ROUNDS = ("schedule", "rounds")
_OF_TRAINED_ROUNDS = ("round_epochs", "round_learning_rate")
_OF_TRAINED_SCORES = ("score_perturbation",)

# Names of these arguments may be added, and be `package.module:name`.
_TABLES: dict[str, Registry[Any]] = {
    "method": METHODS,
    "scores": SCORES,
    "allocation": ALLOCATIONS,
    "rates": ALLOCATIONS,
}

Self = TypeVar("Self", bound="PruningSettings")

Densities = str | Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PruningSettings:
    """The arguments of `hydra_tf.Pruning`, checked when they are given.

    Raises:
        InputError: If an argument is wrong, two contradict each other, or the
            method does not read one that was given. Arguments are in backticks,
            with their values (`method='harp'`).
    """

    method: str = methods.METHOD.default
    # `None` stands for what method and granularity imply, until it is made.
    density: float = None  # type: ignore[assignment]
    granularity: str = methods.GRANULARITY.default
    allocation: Densities = None  # type: ignore[assignment]
    exclude: tuple[str, ...] = ()
    scores: str = None  # type: ignore[assignment]
    train_normalization: bool = methods.TRAIN_NORMALIZATION.default
    rates: Densities | float | None = None
    learn: str = methods.LEARN.default
    gamma_step: float = methods.GAMMA_STEP.default
    resource: str = None  # type: ignore[assignment]
    score_perturbation: float = None  # type: ignore[assignment]
    multistep: bool = methods.MULTISTEP.default
    schedule: str = methods.SCHEDULE.default
    rounds: int = methods.ROUNDS.default
    round_epochs: int = methods.ROUND_EPOCHS.default
    round_learning_rate: float | None = None
    mask_updates: int | None = methods.MASK_UPDATES.default
    update_share: float = methods.UPDATE_SHARE.default
    density_ramp: float = None  # type: ignore[assignment]
    drop_share: float = methods.DROP_SHARE.default
    ticket_distance: float = methods.TICKET_DISTANCE.default
    admm_rho: float = methods.ADMM_RHO.default
    compare: tuple[str, ...] = ()

    # Which of those that the method may imply were given.
    _given: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        for setting in methods.SETTINGS:
            self._set(
                setting.name, _checked(setting, getattr(self, setting.name))
            )
        self._set("compare", tuple(self.compare))
        self._resolve()
        self._check_allocation()
        self._check_pattern()
        self._check_rounds()
        self._check_perturbation()
        self._check_course()
        self._check_compared()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _resolve(self) -> None:
        """Sets what method and granularity imply."""
        entry = self.entry
        if self.method == "hydra" and self.learns_densities:
            # The same thing under its name.
            self._set("method", "harp")
            entry = self.entry
        implied = ["allocation", *(s.name for s in methods.COURSE_SETTINGS)]
        given = [name for name in implied if getattr(self, name) is not None]
        self._set("_given", frozenset(given))
        if self.allocation is None and self._pattern is None:
            self._set("allocation", entry.defaults.get("allocation"))
        if self.allocation is None:
            self._set(
                "allocation", LEARNED if entry.learns_densities else "uniform"
            )
        for name in entry.reads:
            if getattr(self, name) is None:
                self._set(name, entry.defaults.get(name))
        if "density_ramp" in entry.reads and "density_ramp" not in given:
            usual = self.density_ramp
            if usual is None:
                usual = methods.DEFAULT_DENSITY_RAMP
            within = 0.0 if self._pattern else self.update_share
            self._set("density_ramp", min(usual, within))
        if self.scores is None:
            self._set("scores", entry.scores)
        if entry.multistep:
            self._set("multistep", True)
        if self.score_perturbation is None:
            self._set("score_perturbation", entry.score_perturbation)
        if self.resource is None:
            weights = self.granularity == granularities.WEIGHT
            self._set("resource", "weights" if weights else "flops")
        if self.density is None and not self._pattern:
            self._set("density", methods.DEFAULT_DENSITY)

    # --- what it is -----------------------------------------------------------

    @property
    def entry(self) -> MethodEntry:
        """The method's row of `hydra_tf.registry.methods.METHODS`."""
        return METHODS.entry(self.method)

    @property
    def trains_scores(self) -> bool:
        """Whether what is kept is chosen by training."""
        return self.entry.trains_scores

    @property
    def trains(self) -> bool:
        """Whether the prune phase has anything to train."""
        return self.trains_scores or self.trains_kernels

    @property
    def trains_kernels(self) -> bool:
        """Whether the prune phase trains weights, as masks change between."""
        return self.multistep or self.entry.is_course

    def epochs(self, given: int, argument: str = "prune_epochs") -> int:
        """Returns the epochs that the prune phase trains for.

        Args:
            given: Those that a user gives it.
            argument: The argument that gives them.

        Raises:
            InputError: If there are none, and the method needs some.
        """
        if self.trains and not given:
            raise InputError(
                f"`{argument}=0`: {self.method} chooses the weights that stay "
                "by training; give it epochs, or pass `method='lwm'`, which "
                "needs none"
            )
        return given if self.trains else 0

    @property
    def learns_densities(self) -> bool:
        """Whether the density of each layer is trained."""
        return isinstance(self.allocation, str) and self.allocation == LEARNED

    @property
    def density_is_target(self) -> bool:
        """Whether `density` is that of the whole network.

        Where each layer's density is given, it has no part.
        """
        return not is_given(self.allocation)

    @property
    def needs_data(self) -> bool:
        """Whether scores start from a batch of images."""
        return SCORES.entry(self.scores).needs_data

    @property
    def _pattern(self) -> tuple[int, int] | None:
        """N and M of a granularity `N:M`."""
        if granularities.is_n_of_m(self.granularity):
            return granularities.n_of_m(self.granularity)
        return None

    def in_use(self) -> dict[str, Any]:
        """Returns the settings that the method reads, by name."""
        settings = {
            setting.name: getattr(self, setting.name)
            for setting in methods.SETTINGS
        }
        for used, names in (
            (self.learns_densities, _OF_LEARNED),
            (self.multistep, _OF_ROUNDS),
            (self.multistep and self.trains_scores, _OF_TRAINED_ROUNDS),
            (self.trains_scores, _OF_TRAINED_SCORES),
        ):
            if not used:
                for name in names:
                    del settings[name]
        unread = {each.name for each in methods.COURSE_SETTINGS}
        if self.entry.is_course:
            # All else trains, by scores that it sets itself.
            unread |= {"scores", "train_normalization"}
        for name in unread.difference(self.entry.reads):
            del settings[name]
        return settings

    def with_method(self: Self, method: str) -> Self:
        """Returns the same density with another method's way to choose.

        Args:
            method: Its name. Scores and allocation are those it is known by;
                a rule that splits the density stays.
        """
        entry = METHODS.entry(method)
        allocation: Any = self.allocation
        if "allocation" not in self._given:
            allocation = None
        elif entry.learns_densities:
            allocation = LEARNED
        elif self.learns_densities:
            allocation = "uniform"
        learns = entry.learns_densities
        return dataclasses.replace(
            self,
            method=method,
            allocation=allocation,
            scores=entry.scores,
            rates=self.rates if learns else None,
            learn=self.learn if learns else methods.LEARN.default,
            score_perturbation=self._perturbation_with(entry),  # type: ignore[arg-type]
            **{
                name: getattr(self, name)
                if name in entry.reads and name in self._given
                else getattr(PruningSettings, name)
                for name in (each.name for each in methods.COURSE_SETTINGS)
            },
            # Rounds that a method implies are its own.
            multistep=entry.multistep
            or (self.multistep and not self.entry.multistep),
            compare=(),
        )

    def _perturbation_with(self, entry: MethodEntry) -> float | None:
        """Returns the perturbation of another method's scores.

        It stays if it was given, where scores train.
        """
        given = self.score_perturbation != self.entry.score_perturbation
        return (
            self.score_perturbation if given and entry.trains_scores else None
        )

    # --- what contradicts what ------------------------------------------------

    def _check_allocation(self) -> None:
        given = shown("allocation", self.allocation)
        if self.multistep and is_given(self.allocation):
            raise InputError(
                f"{given}: each layer has one density, but that of "
                "`multistep` falls; name a rule"
            )
        if self.entry.learns_densities and not self.learns_densities:
            start = shown("rates", self.allocation)
            raise InputError(
                f"{given}: {self.method} learns its densities; to start from "
                f"these pass {start}, to fix them `method='hydra'`"
            )
        if self.learns_densities and not self.trains_scores:
            raise InputError(
                f"{given}: {self.method} trains no scores that a density "
                "could be learned with; pass `method='harp'`"
            )

    def _check_pattern(self) -> None:
        pattern = self._pattern
        if pattern is None:
            return
        share = pattern[0] / pattern[1]
        granularity = shown("granularity", self.granularity)
        keeps = f"{granularity} keeps {pattern[0]} of {pattern[1]} weights"
        for name in self.compare:
            if METHODS.entry(name).learns_densities:
                raise InputError(
                    f"`compare='{name}'`: has nothing to learn with "
                    f"{granularity}, which fixes the density of every layer"
                )
        if self.learns_densities:
            raise InputError(
                f"{shown('method', self.method)}: {keeps} in every layer, so "
                "there is no density to learn; pass `method='hydra'`"
            )
        if self.allocation != "uniform":
            raise InputError(
                f"{shown('allocation', self.allocation)}: {keeps} in every "
                "layer; leave `allocation` out"
            )
        if self.density is not None and abs(self.density - share) > 1e-6:
            raise InputError(
                f"{shown('density', self.density)}: {keeps}, which is "
                f"{shown('density', share)}"
            )
        self._set("density", share)
        if self.multistep or any(
            METHODS.entry(name).multistep for name in self.compare
        ):
            raise InputError(
                f"{granularity}: removes all that it can at once, so there "
                "are no rounds; leave out `multistep` and lwm_multistep"
            )

    def _check_rounds(self) -> None:
        if not (self.multistep and self.trains_scores):
            return
        if self.needs_data:
            raise InputError(
                f"{shown('scores', self.scores)}: {self.method} with "
                "`multistep` starts its scores again in every round, without "
                "a batch of images"
            )
        if self.learns_densities and not (
            self.rates is None
            or (isinstance(self.rates, str) and not is_file(self.rates))
        ):
            raise InputError(
                f"{shown('rates', self.rates)}: densities start as each round "
                "of `multistep` splits its own; name a rule"
            )

    def _check_perturbation(self) -> None:
        given = shown("score_perturbation", self.score_perturbation)
        if self.entry.score_perturbation and not self.score_perturbation:
            raise InputError(
                f"{given}: {self.method} perturbs its scores; pass "
                "`method='hydra'` to leave them as they are"
            )
        if self.score_perturbation and not any(
            METHODS.entry(name).trains_scores
            for name in (self.method, *self.compare)
        ):
            raise InputError(
                f"{given}: {self.method} trains no scores; pass "
                "`method='hydra'`"
            )
        if self.score_perturbation and self.learn == "rates":
            raise InputError(
                f"{given}: {shown('learn', self.learn)} trains no scores; pass "
                "`learn='both'`"
            )

    def _check_course(self) -> None:
        entry, method = self.entry, shown("method", self.method)
        kind = "N:M" if self._pattern else self.granularity
        if kind not in entry.granularities:
            raise InputError(
                f"{shown('granularity', self.granularity)}: {self.method} "
                f"removes by {' or '.join(entry.granularities)} alone"
            )
        if not entry.is_course:
            return
        if self.multistep:
            raise InputError(
                f"`multistep=True`: {self.method} renews its masks while the "
                "weights train, without rounds; leave `multistep` out"
            )
        if "scores" not in entry.reads and self.scores != entry.scores:
            raise InputError(
                f"{shown('scores', self.scores)}: {self.method} ranks the "
                "weights itself; leave `scores` out"
            )
        if "density_ramp" not in entry.reads:
            return
        if self._pattern and self.density_ramp:
            raise InputError(
                f"{shown('density_ramp', self.density_ramp)}: "
                f"{shown('granularity', self.granularity)} fixes the density "
                "from the first step; leave `density_ramp` out"
            )
        if self.density_ramp > self.update_share:
            raise InputError(
                f"{shown('density_ramp', self.density_ramp)}: the density of "
                f"{method} falls as masks are renewed, which ends at "
                f"{shown('update_share', self.update_share)}; pass at most that"
            )

    def _check_compared(self) -> None:
        others = [self.with_method(name) for name in self.compare]
        read = {name for one in (self, *others) for name in one.entry.reads}
        for setting in methods.COURSE_SETTINGS:
            name, value = setting.name, getattr(self, setting.name)
            if name not in read and value != getattr(PruningSettings, name):
                readers = [
                    repr(each.name) for each in METHODS if name in each.reads
                ]
                raise InputError(
                    f"{shown(name, value)}: {self.method} does not read it; "
                    f"leave it out, or pass `method` {' or '.join(readers)}"
                )
        if any(one.learns_densities for one in (self, *others)):
            return
        for name in ("rates", "learn"):
            value = getattr(self, name)
            if value != getattr(PruningSettings, name):
                fixed = ", or `allocation` to fix them"
                raise InputError(
                    f"{shown(name, value)}: needs learned densities; pass "
                    f"`method='harp'`{fixed if name == 'rates' else ''}"
                )


def _checked(setting: Setting, value: Any) -> Any:
    """Returns a setting's value if it is right."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    table = _TABLES.get(setting.name)
    if table is None or not isinstance(value, str):
        return setting.check(value)
    # Names may have been added to the table.
    if value not in table:
        setting.check(value)
        if ":" in value and not is_file(value):
            try:
                table.entry(value)
            except InputError as error:
                raise InputError(f"`{setting.name}`: {error}") from error
    return value


def is_given(densities: Any) -> bool:
    """Whether each layer's density is given, directly or by a file."""
    return isinstance(densities, Mapping) or is_file(densities)


def shown(name: str, value: Any) -> str:
    """An argument with its value, as messages have it."""
    if isinstance(value, Mapping):
        return f"`{name}`"
    if isinstance(value, float):
        return f"`{name}={value:g}`"
    return f"`{name}={value!r}`"
