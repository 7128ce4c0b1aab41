"""Flags of the training objective and of the attack inside it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from flags import parsing

if TYPE_CHECKING:
    from flags.schedule_flags import ScheduleSettings
    from hydra_tf.objectives import Objective

# Those that train on bounds, whose networks can be certified by them.
VERIFIABLE = ("ibp", "crown_ibp", "mixtrain")
OBJECTIVES = (
    "natural",
    "madry",
    "trades",
    "mart",
    "fgsm",
    *VERIFIABLE,
    "smoothing",
)

_OBJECTIVE = parsing.DEFINE_name(
    "objective",
    "trades",
    OBJECTIVES,
    "What training minimises: cross-entropy on the images (natural), on PGD "
    "(madry) or FGSM (fgsm) adversarial images, TRADES, MART; on bounds of "
    "what any perturbation can do (ibp, crown_ibp, mixtrain); or under "
    "Gaussian noise, for randomised smoothing (smoothing).",
)
_EPSILON = parsing.DEFINE_number(
    "epsilon",
    None,
    "Radius of the perturbations, in the units of images in [0, 1]. A ratio "
    "such as 8/255 is understood. By default 8/255; 2/255 for ibp, crown_ibp "
    "and mixtrain.",
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
    "Weight of the robust term of TRADES and MART, and of the stability term "
    "of smoothing, at least 0.",
    lower=0,
    hint="the weight of the robust term",
)
_SIGMA = parsing.DEFINE_number(
    "sigma",
    0.25,
    "Standard deviation of the noise of smoothing, in training and in its "
    "certification, in the units of images in [0, 1].",
    lower=0,
    exclude_lower=True,
    hint="the standard deviation of the noise",
)
_SMOOTHING_FORM = parsing.DEFINE_name(
    "smoothing_form",
    "stability",
    ("stability", "noise"),
    "Loss of smoothing: cross-entropy on the images plus --beta times the "
    "divergence that noise causes (stability), or cross-entropy on noisy "
    "images (noise).",
)
_CROWN_WEIGHT = parsing.DEFINE_number(
    "crown_weight",
    None,
    "Share of CROWN bounds in crown_ibp, the rest being interval bounds. By "
    "default it falls from 1 to 0 while the radius ramps up, and is 0 after.",
    lower=0,
    upper=1,
    hint="the share of CROWN bounds",
)
_SYMBOLIC_WEIGHT = parsing.DEFINE_number(
    "symbolic_weight",
    0.1,
    "Weight of the robust term of mixtrain until the radius is full; from "
    "then on it grows by 2.5 every 5 epochs, to 50.",
    lower=0,
    hint="the weight of the robust term",
)
_SYMBOLIC_PROBABILITY = parsing.DEFINE_number(
    "symbolic_probability",
    0.8,
    "Probability that a step of mixtrain has its robust term, in [0, 1].",
    lower=0,
    upper=1,
    hint="the probability of a robust step",
)
_SYMBOLIC_EXAMPLES = parsing.DEFINE_count(
    "symbolic_examples",
    5,
    "Images of a batch that the robust term of mixtrain is computed on.",
    lower=1,
)

_RADII = {"verifiable": 2 / 255, "other": 8 / 255}
_ATTACK = ("epsilon", "step_size", "num_steps", "threat_model")
_MIXTRAIN = ("symbolic_weight", "symbolic_probability", "symbolic_examples")
# The settings that each objective reads, beside its ramp.
_IN_USE: dict[str, tuple[str, ...]] = {
    "natural": (),
    "madry": _ATTACK,
    "fgsm": ("epsilon", "threat_model"),
    "trades": (*_ATTACK, "beta"),
    "mart": (*_ATTACK, "beta"),
    "ibp": ("epsilon",),
    "crown_ibp": ("epsilon", "crown_weight"),
    "mixtrain": ("epsilon", *_MIXTRAIN),
    "smoothing": ("sigma", "smoothing_form"),
}


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """What training minimises; the fields are flags.

    The last three are those of one phase: the radius of a verifiable
    objective ramps up between two epochs, or is full at once if both are 0.
    """

    objective: str
    epsilon: float
    step_size: float
    num_steps: int
    threat_model: str
    beta: float
    sigma: float = 0.25
    smoothing_form: str = "stability"
    crown_weight: float | None = None
    symbolic_weight: float = 0.1
    symbolic_probability: float = 0.8
    symbolic_examples: int = 5
    ramp: str = "linear"
    ramp_start: float = 0.0
    ramp_end: float = 0.0

    @property
    def verifiable(self) -> bool:
        """Whether the objective trains on bounds."""
        return self.objective in VERIFIABLE

    def of_phase(
        self, phase: str, epochs: int, schedule: ScheduleSettings
    ) -> ObjectiveSettings:
        """Returns the settings with the ramp of a phase."""
        if not self.verifiable:
            return self
        start, end = schedule.of_phase(phase, epochs, self.objective)
        return dataclasses.replace(
            self, ramp=schedule.ramp, ramp_start=start, ramp_end=end
        )

    def in_use(self) -> dict[str, Any]:
        """Returns the settings that the objective reads, by name."""
        names = ("objective", *_IN_USE[self.objective])
        if self.objective == "smoothing" and self.smoothing_form != "noise":
            names += ("beta",)
        if self.ramp_end:
            names += ("ramp", "ramp_start", "ramp_end")
        settings = dataclasses.asdict(self)
        return {name: settings[name] for name in names}

    def build(self) -> Objective:
        """Returns the objective of `hydra_tf.objectives`."""
        from hydra_tf import objectives

        attack: dict[str, Any] = {name: getattr(self, name) for name in _ATTACK}
        if self.objective == "natural":
            return objectives.Natural()
        if self.objective == "madry":
            return objectives.Madry(**attack)
        if self.objective == "trades":
            return objectives.TRADES(beta=self.beta, **attack)
        if self.objective == "mart":
            return objectives.MART(beta=self.beta, **attack)
        if self.objective == "fgsm":
            return objectives.FGSM(
                epsilon=self.epsilon, threat_model=self.threat_model
            )
        if self.objective == "smoothing":
            return objectives.RandomizedSmoothing(
                sigma=self.sigma, beta=self.beta, form=self.smoothing_form
            )
        return self._build_verifiable()

    def _build_verifiable(self) -> Objective:
        """Returns an objective on bounds, with its schedules."""
        from hydra_tf import objectives
        from hydra_tf import schedules

        epsilon: Any = self.epsilon
        if self.ramp_end:
            shape = {
                "linear": schedules.LinearRamp,
                "smoothed": schedules.SmoothedRamp,
            }[self.ramp]
            epsilon = shape(
                self.ramp_start, self.ramp_end, first=0.0, last=self.epsilon
            )
        if self.objective == "ibp":
            return objectives.IBP(epsilon=epsilon)
        if self.objective == "crown_ibp":
            return objectives.CROWNIBP(
                epsilon=epsilon, crown_weight=self.crown_weight
            )
        return objectives.MixTrain(
            epsilon=epsilon,
            symbolic_weight=schedules.IntervalWeight(
                self.ramp_end, base=self.symbolic_weight
            ),
            probability=self.symbolic_probability,
            num_examples=self.symbolic_examples,
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
        flags.ValidationError: If the radius is none of images in [0, 1], or
            the objective knows the other threat model only.
    """
    name, threat_model = _OBJECTIVE.value, _THREAT_MODEL.value
    epsilon = _EPSILON.value
    if epsilon is None:
        epsilon = _RADII["verifiable" if name in VERIFIABLE else "other"]
    check_radius("epsilon", epsilon, threat_model)
    if name in VERIFIABLE and threat_model != "linf":
        raise flags.ValidationError(
            f"flag --objective={name}: needs --threat_model=linf, not "
            f"{threat_model}; its bounds are of boxes"
        )
    step_size = _STEP_SIZE.value
    return ObjectiveSettings(
        objective=name,
        epsilon=epsilon,
        step_size=epsilon / 4 if step_size is None else step_size,
        num_steps=_NUM_STEPS.value,
        threat_model=threat_model,
        beta=_BETA.value,
        sigma=_SIGMA.value,
        smoothing_form=_SMOOTHING_FORM.value,
        crown_weight=_CROWN_WEIGHT.value,
        symbolic_weight=_SYMBOLIC_WEIGHT.value,
        symbolic_probability=_SYMBOLIC_PROBABILITY.value,
        symbolic_examples=_SYMBOLIC_EXAMPLES.value,
    )
