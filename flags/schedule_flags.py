"""Flags of the radius' ramp in verifiable training."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import parsing

_SCHEDULE_LENGTH = parsing.DEFINE_number(
    "schedule_length",
    None,
    "Epochs of pretraining over which --epsilon, and with it the weight of "
    "CROWN bounds, ramps up from 0. By default, as in the recipes, 3/5 of "
    "them for ibp and crown_ibp, 1/4 for mixtrain. 0 for the full radius at "
    "once.",
    lower=0,
    hint="the epochs of the ramp",
)
_SCHEDULE_START = parsing.DEFINE_number(
    "schedule_start",
    0.0,
    "Epoch of pretraining at which the ramp begins; the radius is 0 until "
    "then.",
    lower=0,
    hint="the epoch at which the ramp begins",
)
_RAMP = parsing.DEFINE_name(
    "ramp",
    "linear",
    ("linear", "smoothed"),
    "Shape of the ramp: a straight line, or one that starts gently (smoothed).",
)
_LATER_LENGTHS = {
    phase: parsing.DEFINE_number(
        f"{phase}_schedule_length",
        0.0,
        f"Epochs over which --epsilon ramps up from 0 in the {phase} phase, "
        "for networks that are not robust before it. With 0 the radius is full "
        "at once.",
        lower=0,
        hint="the epochs of the ramp",
    )
    for phase in ("prune", "finetune")
}

# Where the length is not given: that of the recipe, as a share of the phase.
_SHARES = {"ibp": 0.6, "crown_ibp": 0.6, "mixtrain": 0.25}


@dataclasses.dataclass(frozen=True)
class ScheduleSettings:
    """The ramp of each phase; the fields are flags.

    A `schedule_length` of `None` stands for the recipe's.
    """

    ramp: str
    schedule_start: float
    schedule_length: float | None
    later_lengths: dict[str, float]

    def of_phase(
        self, phase: str, epochs: int, objective: str
    ) -> tuple[float, float]:
        """Returns the epochs at which the ramp of a phase starts and ends.

        Args:
            phase: Name of the phase.
            epochs: Its epochs.
            objective: Name of a verifiable objective.

        Raises:
            flags.ValidationError: If the ramp does not end within the phase.
        """
        if phase == "pretrain":
            name, start = "schedule_length", self.schedule_start
            length = self.schedule_length
            if length is None:
                length = _SHARES[objective] * max(epochs - start, 0.0)
        else:
            name, start = f"{phase}_schedule_length", 0.0
            length = self.later_lengths[phase]
        if not length or not epochs:
            return 0.0, 0.0
        if start + length > epochs:
            begins = f", from epoch {start:g}" if start else ""
            raise flags.ValidationError(
                f"flag --{name}={length:g}{begins}: must end within the "
                f"{epochs} epochs of the {phase} phase, or it never trains at "
                "--epsilon"
            )
        return start, start + length


def schedule_from_flags() -> ScheduleSettings:
    """Returns the settings that the parsed flags stand for."""
    return ScheduleSettings(
        ramp=_RAMP.value,
        schedule_start=_SCHEDULE_START.value,
        schedule_length=_SCHEDULE_LENGTH.value,
        later_lengths={
            phase: flag.value for phase, flag in _LATER_LENGTHS.items()
        },
    )
