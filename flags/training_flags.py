"""Flags of the optimiser and of the machine it runs on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from flags.from_settings import define
from flags.from_settings import define_all
from hydra_tf.registry import training as registry

if TYPE_CHECKING:
    from hydra_tf.training import Execution
    from hydra_tf.training import OptimizerSettings

_OPTIMIZER = define_all(registry.OPTIMIZER)
_LEARNING_RATES = {
    phase: define(setting)
    for phase, setting in registry.PHASE_LEARNING_RATES.items()
}
_SEED = define(registry.SEED)
_EXECUTION = define_all((*registry.EXECUTION, registry.PROGRESS))


def optimizers_from_flags() -> dict[str, OptimizerSettings]:
    """Returns the optimiser of each phase that the parsed flags stand for."""
    from hydra_tf.training import OptimizerSettings

    common = OptimizerSettings(
        **{name: flag.value for name, flag in _OPTIMIZER.items()}
    )
    return {
        phase: common
        if rate.value is None
        else dataclasses.replace(common, learning_rate=rate.value)
        for phase, rate in _LEARNING_RATES.items()
    }


def seed_from_flags() -> int:
    """Returns the seed of the run."""
    return _SEED.value


def execution_from_flags() -> Execution:
    """Returns how phases are computed and shown."""
    from hydra_tf.training import Execution

    return Execution(**{name: flag.value for name, flag in _EXECUTION.items()})
