"""How the attacks of training are made cheaper."""

from __future__ import annotations

import dataclasses
from typing import Any

from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.registry.training import ATTACK


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackSettings:
    """What a phase saves on the attacks of its steps.

    Args:
        warm_start: Whether attacks start from the perturbations of the batch
            before.
        num_steps_ramp: Float in [0, 1], share of the epochs in which the steps
            of an attack grow from 1 to the objective's `num_steps`; 0 for all
            from the beginning.

    Raises:
        InputError: If a setting is out of range.
    """

    warm_start: bool = False
    num_steps_ramp: float = 0.0

    def __post_init__(self) -> None:
        for setting in ATTACK:
            setting.check(getattr(self, setting.name))

    def check(self, objective: Objective) -> None:
        """Raises `InputError` unless an objective attacks like that.

        Args:
            objective: What is minimised.
        """
        if self.warm_start:
            check_warm_start(objective)
        self.ramped(objective, epochs=1)

    def ramped(self, objective: Objective, epochs: int) -> Objective:
        """Returns the objective of a phase, with the ramp of its steps.

        Args:
            objective: What is minimised.
            epochs: Epochs of the phase.
        """
        if not self.num_steps_ramp or not epochs:
            return objective
        with_ramp = getattr(objective, "with_steps_ramp", None)
        if with_ramp is None or not accepts_argument(
            objective.perturb, "epoch"
        ):
            raise InputError(
                f"`num_steps_ramp`={self.num_steps_ramp:g} needs an objective "
                "whose attack takes steps: madry, trades or mart. "
                f"Received: {objective!r}"
            )
        return with_ramp(self.num_steps_ramp * epochs)

    def record(self) -> dict[str, Any]:
        """Returns the settings by name."""
        return dataclasses.asdict(self)


def check_warm_start(objective: Objective) -> None:
    """Raises `InputError` unless attacks of an objective can start anywhere.

    Args:
        objective: What is minimised.
    """
    if not accepts_argument(objective.perturb, "start"):
        raise InputError(
            "`warm_start` needs an objective whose attack has a start: madry, "
            "trades, mart, fgsm, or one whose `perturb` has the argument "
            f"`start`. Received: {objective!r}"
        )
    if getattr(objective, "noise_magnitude", 0):
        raise InputError(
            "`warm_start` and `noise_magnitude` are two places to attack from: "
            f"give one. Received: {objective!r}"
        )
