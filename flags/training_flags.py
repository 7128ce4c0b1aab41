"""Flags of the optimiser and of the machine it runs on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from flags.from_settings import define
from flags.from_settings import define_all
from hydra_tf.errors import InputError
from hydra_tf.registry import training as registry

if TYPE_CHECKING:
    from hydra_tf.training import AttackSettings
    from hydra_tf.training import Execution
    from hydra_tf.training import OptimizerSettings
    from hydra_tf.training import Workers

_OPTIMIZER = define_all(registry.OPTIMIZER)
_LEARNING_RATES = {
    phase: define(setting)
    for phase, setting in registry.PHASE_LEARNING_RATES.items()
}
_VALIDATION_FRACTION = define(registry.VALIDATION_FRACTION)
_SELECT = define(registry.SELECT)
_PATIENCE = define(registry.PATIENCE)
_WEIGHTS = define_all(registry.WEIGHTS)
_QUANTIZE = define(registry.QUANTIZE)
_SEED = define(registry.SEED)
_ATTACK = define_all(registry.ATTACK)
_EXECUTION = define_all((*registry.EXECUTION, registry.PROGRESS))
_CLUSTER = define_all(registry.CLUSTER)
# Made before TensorFlow runs anything.
_EARLY = ("multi_worker", "mirrored:", "tpu")


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


@dataclasses.dataclass(frozen=True)
class ValidationSettings:
    """What is held out to watch training by, and what it decides.

    Attributes:
        fraction: Share of the training images.
        select: `"last"` or `"best"`, the epoch that a phase ends with.
        patience: Epochs that may be no better before a phase stops early; 0
            for any number.
    """

    fraction: float
    select: str
    patience: int


def validation_from_flags() -> ValidationSettings:
    """Returns how training is watched.

    Raises:
        InputError: If the best epoch is asked for with nothing to compare by.
    """
    fraction, patience = _VALIDATION_FRACTION.value, _PATIENCE.value
    # Who waits for a better epoch wants the best.
    select = "best" if patience else _SELECT.value
    if select == "best" and not fraction:
        asking = f"--patience={patience}" if patience else "--select=best"
        raise InputError(
            f"{asking} needs --validation_fraction, the share of the "
            "training images to compare epochs by, such as 0.1"
        )
    return ValidationSettings(fraction, select, patience)


def attacks_from_flags() -> AttackSettings:
    """Returns how the attacks of training are made cheaper."""
    from hydra_tf.training import AttackSettings

    return AttackSettings(
        **{name: flag.value for name, flag in _ATTACK.items()}
    )


def weights_from_flags() -> dict[str, float]:
    """Returns the averaging and perturbation of weights, as of a `Phase`."""
    return {name: flag.value for name, flag in _WEIGHTS.items()}


def quantize_from_flags() -> str:
    """Returns what the finetune phase rounds its weights to, or `"none"`."""
    return _QUANTIZE.value


def seed_from_flags() -> int:
    """Returns the seed of the run."""
    return _SEED.value


def execution_from_flags() -> Execution:
    """Returns how phases are computed and shown."""
    from hydra_tf.training import Execution

    return Execution(**{name: flag.value for name, flag in _EXECUTION.items()})


def workers_from_flags() -> Workers | None:
    """Makes the devices of a `--strategy` that has to be TensorFlow's first.

    Returns:
        The workers, `None` where the strategy may be made later.

    Raises:
        InputError: If there are no such devices.
        WorkersError: If not all workers come in time.
    """
    name = _EXECUTION["strategy"].value
    if not name.startswith(_EARLY):
        return None
    from hydra_tf import training

    if name == "multi_worker":
        training.connect(**{key: each.value for key, each in _CLUSTER.items()})
    return training.Workers(training.make_strategy(name))
