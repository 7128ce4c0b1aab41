"""Rules of the recipes: what a phase's settings are if nobody gives them."""

from __future__ import annotations

from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.phases import check_phase
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.objectives import ObjectiveEntry
from hydra_tf.registry.training import OPTIMIZER_NAME
from hydra_tf.schedules import Schedule

_PEAK_RATES = {"sgd": 0.1, "adam": 1e-3, "rmsprop": 1e-3}


def peak_learning_rate(optimizer: str, phase: str) -> float:
    """Returns the learning rate that a phase starts at.

    It is 0.1 for SGD and 0.001 for Adam and RMSprop; a tenth of that to
    finetune.

    Args:
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`.
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
    """
    check_phase(phase)
    OPTIMIZER_NAME.check(optimizer)
    rate = _PEAK_RATES[optimizer]
    return rate / 10 if phase == "finetune" else rate


def ramp_of_phase(
    objective: Objective | ObjectiveEntry,
    phase: str,
    epochs: int,
    start: float = 0.0,
    length: float | None = None,
) -> tuple[float, float]:
    """Returns the epochs between which the radius of a phase grows.

    For `Objective.with_ramp`. Unless a length is given, only pretraining has a
    ramp: a share of its epochs, 3/5 for IBP and CROWN-IBP, 1/4 for MixTrain.

    Args:
        objective: An objective, or its row of the registry.
        phase: `"pretrain"`, `"prune"` or `"finetune"`.
        epochs: Number of epochs of the phase.
        start: Epoch >= 0 at which the ramp begins.
        length: Epochs >= 0 that it takes; 0 for the full radius at once, None
            for the recipe's.

    Returns:
        Start and end; both are 0 where the radius is full at once, or the
        objective has none that grows or a schedule of its own.

    Raises:
        InputError: If the ramp does not end within the phase.
    """
    check_phase(phase)
    entry = (
        objective
        if isinstance(objective, ObjectiveEntry)
        else OBJECTIVES.entry_of(type(objective))
    )
    if not entry.needs_bounds:
        return 0.0, 0.0
    if length is None:
        has_own = isinstance(getattr(objective, "epsilon", None), Schedule)
        is_usual = phase == "pretrain" and not has_own
        share = entry.ramp_share if is_usual else None
        length = (share or 0.0) * max(epochs - start, 0.0)
    if not length or not epochs:
        return 0.0, 0.0
    if start < 0 or length < 0 or start + length > epochs:
        raise InputError(
            f"the ramp must lie within the {epochs} epochs of the {phase} "
            "phase, or it never trains at the full radius. Received: "
            f"start={start:g}, length={length:g}"
        )
    return start, start + length
