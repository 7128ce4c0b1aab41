"""The optimiser of a phase, or of a round within it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

import keras

from hydra_tf import training

if TYPE_CHECKING:
    from flags.training_flags import TrainingSettings


def make(
    settings: TrainingSettings, peak: float, epochs: int, steps_per_epoch: int
) -> keras.Optimizer:
    """Returns the optimiser with the learning rates of some epochs.

    Args:
        settings: Which optimiser, and how the learning rate falls.
        peak: The largest learning rate.
        epochs: Number of epochs.
        steps_per_epoch: Number of steps in each.
    """
    rate = training.learning_rate(
        settings.lr_schedule,
        peak,
        epochs - settings.warmup_epochs,
        steps_per_epoch,
        warmup_epochs=settings.warmup_epochs,
        warmup_rate=settings.warmup_learning_rate or peak / 10,
    )
    common: dict[str, Any] = {
        "learning_rate": rate,
        "weight_decay": settings.weight_decay,
    }
    if settings.optimizer == "adam":
        return training.Adam(**common)
    momentum: dict[str, Any] = {"momentum": settings.momentum}
    if settings.optimizer == "rmsprop":
        return training.RMSprop(**common, **momentum)
    return training.SGD(**common, **momentum)
