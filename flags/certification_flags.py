"""Flags of what the evaluation of a network proves, beside its attacks."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import objective_flags
from flags import parsing
from flags.certification_methods import BOUNDS
from flags.certification_methods import METHODS
from flags.certification_methods import SMOOTHING

_EVAL_CERTIFY = parsing.DEFINE_names(
    "eval_certify",
    None,
    METHODS,
    "Methods by which the certified accuracy is measured, separated by "
    f"commas: {', '.join(METHODS)}; empty for none. By default ibp and "
    "crown_ibp for the objectives ibp and crown_ibp, symbolic for mixtrain, "
    "smoothing for smoothing, and none for the others, whose networks are "
    "seldom provable.",
)
_EVAL_RADII = parsing.DEFINE_numbers(
    "eval_radii",
    (0.25, 0.5),
    "L2 radii at which smoothing certifies in the evaluation, separated by "
    "commas.",
    lower=0,
    hint="L2 radii for images in [0, 1]",
)
_EVAL_SMOOTHING_SAMPLES = parsing.DEFINE_count(
    "eval_smoothing_samples",
    500,
    "Noisy copies of an image by which smoothing certifies in the evaluation: "
    "few, to have a figure; trainers.certify takes 10,000.",
    lower=1,
)

_DEFAULTS = {
    "ibp": ("ibp", "crown_ibp"),
    "crown_ibp": ("ibp", "crown_ibp"),
    "mixtrain": ("symbolic",),
    "smoothing": (SMOOTHING,),
}


@dataclasses.dataclass(frozen=True)
class CertificationSettings:
    """What is proved of a network in its evaluation; the fields are flags.

    `implied` says that the methods follow from the objective; nobody asked
    for them by name.
    """

    methods: tuple[str, ...]
    epsilon: float
    sigma: float
    radii: tuple[float, ...]
    num_samples: int
    implied: bool = False

    @property
    def bounds(self) -> tuple[str, ...]:
        """The methods that need bounds of the network's layers."""
        return tuple(name for name in self.methods if name in BOUNDS)


def certification_from_flags(
    objective: objective_flags.ObjectiveSettings, epsilon: float
) -> CertificationSettings:
    """Returns the settings that the parsed flags stand for.

    Args:
        objective: What training minimises.
        epsilon: Radius of the evaluation.

    Raises:
        flags.ValidationError: If a method knows another threat model only.
    """
    methods = _EVAL_CERTIFY.value
    implied = methods is None
    if methods is None:
        methods = _DEFAULTS.get(objective.objective, ())
    for name in methods:
        if name in BOUNDS and objective.threat_model != "linf":
            raise flags.ValidationError(
                f"flag --eval_certify={','.join(methods)}: {name} needs "
                f"--threat_model=linf, not {objective.threat_model}"
            )
    return CertificationSettings(
        methods=tuple(methods),
        epsilon=epsilon,
        sigma=objective.sigma,
        radii=tuple(_EVAL_RADII.value),
        num_samples=_EVAL_SMOOTHING_SAMPLES.value,
        implied=implied,
    )
