"""Flags of the training objective and of the attack inside it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from flags import parsing

if TYPE_CHECKING:
    from hydra_tf.objectives import Objective

OBJECTIVES = ("natural", "madry", "trades", "mart", "fgsm")

_OBJECTIVE = parsing.DEFINE_name(
    "objective",
    "trades",
    OBJECTIVES,
    "What training minimises: cross-entropy on the images (natural), on PGD "
    "(madry) or FGSM (fgsm) adversarial images, or TRADES or MART.",
)
_EPSILON = parsing.DEFINE_number(
    "epsilon",
    8 / 255,
    "Radius of the perturbations, in the units of images in [0, 1]. A ratio "
    "such as 8/255, the default, is understood.",
    lower=0,
    hint="the radius for images in [0, 1]",
)
_STEP_SIZE = parsing.DEFINE_number(
    "step_size",
    None,
    "Length of an attack step in training, in the units of --epsilon. By "
    "default epsilon / 4, which is 2/255 at 8/255.",
    lower=0,
    hint="the length of one attack step",
)
_NUM_STEPS = parsing.DEFINE_count(
    "num_steps", 10, "Attack steps in training.", lower=1
)
_THREAT_MODEL = parsing.DEFINE_name(
    "threat_model",
    "linf",
    ("linf", "l2"),
    "Norm in which --epsilon is measured, in training and in evaluation.",
)
_BETA = parsing.DEFINE_number(
    "beta",
    6.0,
    "Weight of the robust term of TRADES and MART, at least 0.",
    lower=0,
    hint="the weight of the robust term",
)


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """What training minimises; the fields are flags."""

    objective: str
    epsilon: float
    step_size: float
    num_steps: int
    threat_model: str
    beta: float

    def in_use(self) -> dict[str, Any]:
        """Returns the settings that the objective reads, by name."""
        unused = {
            "natural": set(dataclasses.asdict(self)) - {"objective"},
            "madry": {"beta"},
            "fgsm": {"beta", "step_size", "num_steps"},
        }.get(self.objective, set())
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in unused
        }

    def build(self) -> Objective:
        """Returns the objective of `hydra_tf.objectives`."""
        from hydra_tf import objectives

        attack: dict[str, Any] = {
            "epsilon": self.epsilon,
            "step_size": self.step_size,
            "num_steps": self.num_steps,
            "threat_model": self.threat_model,
        }
        if self.objective == "natural":
            return objectives.Natural()
        if self.objective == "madry":
            return objectives.Madry(**attack)
        if self.objective == "trades":
            return objectives.TRADES(beta=self.beta, **attack)
        if self.objective == "mart":
            return objectives.MART(beta=self.beta, **attack)
        return objectives.FGSM(
            epsilon=self.epsilon, threat_model=self.threat_model
        )


def check_radius(name: str, epsilon: float, threat_model: str) -> None:
    """Checks that a radius is one of images in [0, 1].

    Args:
        name: Name of the flag.
        epsilon: Its value.
        threat_model: `"linf"` or `"l2"`.

    Raises:
        flags.ValidationError: If any image lies within the radius.
    """
    if threat_model == "linf" and epsilon > 1:
        raise flags.ValidationError(
            f"flag --{name}={epsilon:g}: must be in [0, 1] with "
            "--threat_model=linf, as images are; for 8 of 255 levels pass "
            "8/255"
        )


def objective_from_flags() -> ObjectiveSettings:
    """Returns the settings that the parsed flags stand for.

    Raises:
        flags.ValidationError: If the radius is none of images in [0, 1].
    """
    check_radius("epsilon", _EPSILON.value, _THREAT_MODEL.value)
    step_size = _STEP_SIZE.value
    return ObjectiveSettings(
        objective=_OBJECTIVE.value,
        epsilon=_EPSILON.value,
        step_size=_EPSILON.value / 4 if step_size is None else step_size,
        num_steps=_NUM_STEPS.value,
        threat_model=_THREAT_MODEL.value,
        beta=_BETA.value,
    )
