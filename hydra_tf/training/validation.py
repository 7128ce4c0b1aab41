"""How a training is watched on images that do not train."""

from __future__ import annotations

import numbers

from hydra_tf.objectives import Madry
from hydra_tf.objectives import Objective
from hydra_tf.schedules import Schedule

# Enough to see robust overfitting, and what a step of training costs.
_NUM_STEPS = 10


def validation_attack(
    objective: Objective,
    epsilon: float | None = None,
    threat_model: str = "linf",
) -> Objective | None:
    """Returns the attack that measures a network after every epoch.

    It is PGD with ten steps from a random start. An upper bound on robust
    accuracy for comparing epochs; what is reported in the end,
    `hydra_tf.evaluation` measures.

    Args:
        objective: What training minimises.
        epsilon: Radius; by default the full one of the objective, if it has
            one.
        threat_model: Norm of the radius where the objective has none.

    Returns:
        An objective whose `perturb` attacks; `None` if there is no radius, and
        the objective's own perturbation, such as noise, has to do.
    """
    radius = getattr(objective, "epsilon", None)
    if isinstance(radius, Schedule):
        radius = radius.last
    if isinstance(radius, numbers.Real):
        threat_model = getattr(objective, "threat_model", "linf")
    elif type(objective).perturb is not Objective.perturb:
        return None
    if epsilon is not None:
        radius = epsilon
    if not isinstance(radius, numbers.Real):
        return None
    return Madry(
        epsilon=float(radius),
        num_steps=_NUM_STEPS,
        threat_model=threat_model,
        clip=objective.clip,
    )
