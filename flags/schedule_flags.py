"""Flags of the radius' ramp in training on bounds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from flags.from_settings import define
from flags.from_settings import define_all
from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.objectives import RAMP
from hydra_tf.registry.settings import Number

if TYPE_CHECKING:
    from hydra_tf.objectives import Objective

_ON_BOUNDS = ", ".join(each.name for each in OBJECTIVES if each.needs_bounds)
_RAMP = define(RAMP)
_START = define(
    Number(
        name="schedule_start",
        default=0.0,
        lower=0,
        help="Epoch of pretraining at which the ramp begins; the radius is 0 "
        "until then.",
    )
)
_LENGTHS = define_all(
    (
        Number(
            name="schedule_length",
            lower=0,
            help="Epochs of pretraining over which --epsilon, and with it the "
            "weight of CROWN bounds, ramps up from 0. By default, as in the "
            "recipes, this share of them: "
            + ", ".join(
                f"{each.ramp_share:g} ({each.name})"
                for each in OBJECTIVES
                if each.ramp_share
            )
            + ". 0 for the full radius at once.",
        ),
        *(
            Number(
                name=f"{phase}_schedule_length",
                default=0.0,
                lower=0,
                help="Epochs over which --epsilon ramps up from 0 in the "
                f"{phase} phase ({_ON_BOUNDS}), for networks that are not "
                "robust before it. With 0 the radius is full at once.",
            )
            for phase in ("prune", "finetune")
        ),
    )
)
NAMES = (RAMP.flag_name, _START.name, *_LENGTHS)


@dataclasses.dataclass(frozen=True)
class Ramps:
    """The ramps of an objective on bounds in the phases of a run.

    Attributes:
        shape: Shape of every ramp.
        start: Epoch of pretraining at which its ramp begins.
        lengths: Epochs of each ramp, by the name of its flag.
    """

    shape: str
    start: float
    lengths: dict[str, float | None]

    def of_phase(
        self, objective: Objective, phase: str, epochs: int
    ) -> tuple[float, float, str]:
        """Returns start, end and shape, the arguments of `with_ramp`.

        Raises:
            InputError: If the ramp does not end within the phase.
        """
        from hydra_tf import training

        name = _length_flag(phase)
        length = self.lengths[name]
        start = self.start if phase == "pretrain" else 0.0
        try:
            return *training.ramp_of_phase(
                objective, phase, epochs, start, length
            ), self.shape
        except InputError as error:
            raise InputError(f"--{name}={length:g}: {error}") from error

    def record(
        self, objective: Objective, phase: str, epochs: int
    ) -> dict[str, Any]:
        """Returns the ramp of a phase by flag name; empty without bounds."""
        if not OBJECTIVES.entry_of(type(objective)).needs_bounds:
            return {}
        start, end, shape = self.of_phase(objective, phase, epochs)
        record: dict[str, Any] = {_length_flag(phase): end - start}
        if end:
            record["ramp"] = shape
        if start:
            record["schedule_start"] = start
        return record


def ramps_from_flags() -> Ramps:
    """Returns the ramps that the parsed flags stand for."""
    return Ramps(
        shape=_RAMP.value,
        start=_START.value,
        lengths={name: flag.value for name, flag in _LENGTHS.items()},
    )


def _length_flag(phase: str) -> str:
    prefix = "" if phase == "pretrain" else f"{phase}_"
    return f"{prefix}schedule_length"
