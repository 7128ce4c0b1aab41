"""The optimiser of a phase by name, with its learning rates."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.registry import training as registry
from hydra_tf.training.learning_rates import learning_rate
from hydra_tf.training.optimizers import SGD
from hydra_tf.training.optimizers import Adam
from hydra_tf.training.optimizers import RMSprop
from hydra_tf.training.recipes import peak_learning_rate

_OPTIMIZERS: dict[str, Any] = {"sgd": SGD, "adam": Adam, "rmsprop": RMSprop}
_WITH_MOMENTUM = ("sgd", "rmsprop")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Which optimiser, and how its learning rate changes over a phase.

    Args:
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`.
        learning_rate: Float > 0, the peak; by default the recipe's.
        lr_schedule: `"cosine"`, `"one_cycle"`, `"step"` or `"constant"`.
        warmup_epochs: Integer >= 0, epochs before the schedule begins; they
            count among those of the phase.
        warmup_learning_rate: Float > 0, the rate in those; by default a tenth
            of the peak.
        momentum: Float in [0, 1), of `"sgd"` and `"rmsprop"`.
        weight_decay: Float >= 0.
        gradient_clipping: Float >= 0, largest norm of the gradient of all
            that trains together; 0 for any.

    Raises:
        InputError: If a setting is out of range.
    """

    optimizer: str = "sgd"
    learning_rate: float | None = None
    lr_schedule: str = "cosine"
    warmup_epochs: int = 0
    warmup_learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    gradient_clipping: float = 0.0

    def __post_init__(self) -> None:
        for setting in registry.OPTIMIZER:
            setting.check(getattr(self, setting.name))

    @property
    def has_momentum(self) -> bool:
        """Whether the optimiser reads `momentum`."""
        return self.optimizer in _WITH_MOMENTUM

    def peak(self, phase: str) -> float:
        """Returns the largest learning rate of a phase."""
        if self.learning_rate is not None:
            return self.learning_rate
        return peak_learning_rate(self.optimizer, phase)

    def check(self, phase: str, epochs: int) -> None:
        """Raises `InputError` unless a phase is longer than the warm-up."""
        if epochs and self.warmup_epochs >= epochs:
            raise InputError(
                f"`warmup_epochs`={self.warmup_epochs} must be less than the "
                f"{epochs} epochs of the {phase} phase"
            )

    def record(self, phase: str) -> dict[str, Any]:
        """Returns the settings by name, with the peak of a phase."""
        return dataclasses.asdict(self) | {"learning_rate": self.peak(phase)}

    def of_rounds(self, learning_rate: float | None) -> OptimizerSettings:
        """Returns the settings for the scores of a round of pruning.

        Args:
            learning_rate: Their peak learning rate, by default the recipe's.
        """
        # That of the phase is of the weights between rounds, and a round is
        # too short for a warm-up.
        return dataclasses.replace(
            self, learning_rate=learning_rate, warmup_epochs=0
        )

    def make(
        self, phase: str, epochs: int, steps_per_epoch: int
    ) -> keras.Optimizer:
        """Returns an optimiser for a phase.

        Args:
            phase: Name of the phase.
            epochs: Its epochs.
            steps_per_epoch: Number of steps in each.

        Raises:
            InputError: If the phase is not longer than the warm-up.
        """
        self.check(phase, epochs)
        peak = self.peak(phase)
        momentum = {}
        if self.has_momentum:
            momentum["momentum"] = self.momentum
        return _OPTIMIZERS[self.optimizer](
            learning_rate=learning_rate(
                self.lr_schedule,
                peak,
                epochs - self.warmup_epochs,
                steps_per_epoch,
                warmup_epochs=self.warmup_epochs,
                warmup_rate=self.warmup_learning_rate or peak / 10,
            ),
            weight_decay=self.weight_decay,
            global_clipnorm=self.gradient_clipping or None,
            **momentum,
        )


def as_optimizer_settings(
    optimizer: str | keras.Optimizer, **settings: Any
) -> OptimizerSettings | GivenOptimizer:
    """Returns an optimiser by name with its settings, or one that is given.

    Args:
        optimizer: `"sgd"`, `"adam"` or `"rmsprop"`; or a Keras optimiser.
        **settings: The other arguments of `OptimizerSettings`.

    Raises:
        InputError: If a setting is out of range, or given beside a Keras
            optimiser, which has its own.
    """
    if not isinstance(optimizer, keras.Optimizer):
        return OptimizerSettings(optimizer=optimizer, **settings)
    for name, value in settings.items():
        if value != getattr(OptimizerSettings, name):
            raise InputError(
                f"`{name}`={value} has no effect beside a Keras optimiser: "
                f"give it to {type(optimizer).__name__}, or name the optimiser"
            )
    return GivenOptimizer(optimizer)


@dataclasses.dataclass(frozen=True)
class GivenOptimizer:
    """A Keras optimiser that a user has made, learning rate and all.

    It has the methods of `OptimizerSettings`.

    Args:
        optimizer: The optimiser, of which copies are used.
    """

    optimizer: keras.Optimizer

    def check(self, phase: str, epochs: int) -> None:
        """Does nothing: any phase will do."""

    def record(self, phase: str) -> dict[str, Any]:
        """Returns the optimiser's class and settings."""
        del phase
        record = keras.optimizers.serialize(self.optimizer)
        # Keras numbers those that have no name: the next process or call has
        # another.
        record["config"] = {
            name: each
            for name, each in record["config"].items()
            if name != "name"
        }
        return {"optimizer": record}

    def of_rounds(self, learning_rate: float | None) -> GivenOptimizer:
        """Returns the same: its learning rate is its own."""
        del learning_rate
        return self

    def make(
        self, phase: str, epochs: int, steps_per_epoch: int
    ) -> keras.Optimizer:
        """Returns a copy without state."""
        del phase, epochs, steps_per_epoch
        # With variables of the strategy that is current.
        return keras.optimizers.deserialize(
            keras.optimizers.serialize(self.optimizer)
        )
