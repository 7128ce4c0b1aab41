"""Flags of the evaluation of a network: its attacks and its proofs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from absl import flags

from flags import objective_flags
from flags.from_settings import define_all
from hydra_tf.errors import InputError
from hydra_tf.registry import evaluation
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.bounds import BOUNDS
from hydra_tf.registry.evaluation import EVALUATION
from hydra_tf.registry.evaluation import SMOOTHING
from hydra_tf.registry.objectives import OBJECTIVES

if TYPE_CHECKING:
    from hydra_tf.evaluation import EvaluationSettings

# The others are flags of the objective, or of training.
_NAMES = (
    "attacks",
    "step_size",
    "num_steps",
    "num_restarts",
    "batch_size",
)
_EVALUATION = define_all(each for each in EVALUATION if each.name in _NAMES)
_SMOOTHING = define_all((evaluation.RADII, evaluation.NUM_SAMPLES))
_OTHERS = define_all(
    (
        # By default that of the objective.
        dataclasses.replace(EPSILON, default=None),
        evaluation.CERTIFY,
        evaluation.NUM_EXAMPLES,
    )
)


@flags.validator(
    _EVALUATION["attacks"].name, "must be names of attacks, see --help"
)
def _known(names: list[str]) -> bool:
    """Checks names at once; a user's own attack is imported later."""
    for name in names:
        if ":" not in name:
            try:
                ATTACKS.entry(name)
            except InputError as error:
                raise flags.ValidationError(str(error)) from error
    return True


def num_examples_from_flags() -> int | None:
    """Returns how many test images are evaluated, `None` for the default."""
    return _OTHERS["num_examples"].value


def implies_proofs() -> bool:
    """Whether the proofs follow from the objective, named by nobody."""
    return _OTHERS["certify"].value is None


def evaluation_from_flags(
    *,
    objective: str,
    epsilon: float,
    threat_model: str,
    sigma: float,
    seed: int,
) -> EvaluationSettings:
    """Returns the library's settings that the parsed flags stand for.

    Args:
        objective: Name of the objective, which implies the proofs.
        epsilon: Radius of training, the default of that of the evaluation.
        threat_model: Norm of the perturbations.
        sigma: Standard deviation of the noise that smoothing certifies under.
        seed: Seed of all random numbers.

    Raises:
        flags.ValidationError: If the radius is none of images in [0, 1].
        InputError: If an attack or a bound knows another threat model only,
            or a user's own attack cannot be imported.
    """
    from hydra_tf.evaluation import EvaluationSettings
    from hydra_tf.evaluation import SmoothingSettings

    radius = _OTHERS["epsilon"].value
    if radius is None:
        radius = epsilon
    objective_flags.check_radius("eval_epsilon", radius, threat_model)
    methods = _OTHERS["certify"].value
    if methods is None:
        methods = OBJECTIVES.entry(objective).certified_by
    return EvaluationSettings(
        **{name: flag.value for name, flag in _EVALUATION.items()},
        bounds=tuple(name for name in methods if name in BOUNDS),
        epsilon=radius,
        threat_model=threat_model,
        smoothing=SmoothingSettings(
            sigma=sigma,
            **{name: flag.value for name, flag in _SMOOTHING.items()},
        )
        if SMOOTHING in methods
        else None,
        seed=seed,
    )
