"""Learning rates that change with the epoch.

They are functions of the optimizer's step, which is saved with it, so that a
run resumes where it stopped. Not Keras' CosineDecay and PiecewiseConstantDecay,
which change at every step and warm up along a line: all but one-cycle are
constant within an epoch and during the warm-up, as in the original recipes.
Schedules of a radius are `hydra_tf.schedules`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Number

_STEPS_PER_EPOCH = Count(name="steps_per_epoch", help="", default=1, lower=1)
_WARMUP_EPOCHS = Number(name="warmup_epochs", help="", default=0.0, lower=0)
# Of the steps of a one-cycle schedule, those that lead up to the peak.
_RISING_SHARE = 0.3
# What it starts at, a share of the peak.
_ONE_CYCLE_START = 1 / 25


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is set at the start of every epoch.

    The first `warmup_epochs` epochs run at `warmup_rate`; the rule of the
    subclass counts its epochs from there.

    Attributes:
        changes_within_epochs: Of a subclass: whether its rate is set at every
            step instead.

    Args:
        base_rate: Float > 0, the rate that the rule scales.
        epochs: Float > 0, length of the rule, not counting the warm-up.
        steps_per_epoch: Positive integer, optimizer steps in an epoch.
        warmup_epochs: Float >= 0, epochs before the rule starts.
        warmup_rate: Float > 0, rate until then; `None` is `base_rate`.

    Call arguments:
        step: Integer scalar, the optimizer's step counted from 0.

    Returns:
        The rate, a float32 scalar tensor.

    Raises:
        InputError: If an argument is out of range.
    """

    changes_within_epochs = False

    def __init__(
        self,
        base_rate: float,
        epochs: float,
        steps_per_epoch: int,
        warmup_epochs: float = 0.0,
        warmup_rate: float | None = None,
    ):
        super().__init__()
        self.base_rate = _positive("base_rate", base_rate)
        self.epochs = _positive("epochs", epochs)
        self.steps_per_epoch = int(_STEPS_PER_EPOCH.check(steps_per_epoch))
        self.warmup_epochs = float(_WARMUP_EPOCHS.check(warmup_epochs))
        self.warmup_rate = (
            None
            if warmup_rate is None
            else _positive("warmup_rate", warmup_rate)
        )

    def __call__(self, step) -> tf.Tensor:
        # Whole epochs by integer division: floats would start some too late.
        step = tf.cast(step, tf.int64)
        epoch = tf.cast(step // self.steps_per_epoch, tf.float64)
        if self.changes_within_epochs:
            epoch = tf.cast(step, tf.float64) / self.steps_per_epoch
        since_warmup = epoch - self.warmup_epochs
        rate = self.base_rate * self.factor(tf.maximum(since_warmup, 0.0))
        if self.warmup_epochs:
            warmup_rate = self.base_rate
            if self.warmup_rate is not None:
                warmup_rate = self.warmup_rate
            rate = tf.where(
                since_warmup < 0.0, tf.constant(warmup_rate, rate.dtype), rate
            )
        return tf.cast(rate, tf.float32)

    def at_epoch(self, epoch: int) -> float:
        """Returns the rate at the start of an epoch, counted from 0."""
        return float(self(epoch * self.steps_per_epoch))

    def factor(self, epoch: tf.Tensor) -> tf.Tensor:
        """Returns what the base rate is multiplied by.

        Args:
            epoch: Float64 scalar >= 0, epochs since the end of the warm-up.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "base_rate": self.base_rate,
            "epochs": self.epochs,
            "steps_per_epoch": self.steps_per_epoch,
            "warmup_epochs": self.warmup_epochs,
            "warmup_rate": self.warmup_rate,
        }


@keras.saving.register_keras_serializable(package="hydra_tf")
class CosineRate(EpochSchedule):
    """Half a cosine from the base rate towards 0 at `epochs`, then 0.

    `base_rate * (1 + cos(pi * e / epochs)) / 2` in epoch `e` after the
    warm-up. Arguments are those of `EpochSchedule`.

    Example:
    >>> rate = CosineRate(0.1, epochs=4, steps_per_epoch=10)
    >>> [round(rate.at_epoch(epoch), 4) for epoch in range(5)]
    [0.1, 0.0854, 0.05, 0.0146, 0.0]

    Reference:
    - [Loshchilov and Hutter, 2016](https://arxiv.org/abs/1608.03983)
    """

    def factor(self, epoch):
        progress = tf.minimum(epoch / self.epochs, 1.0)
        return 0.5 * (1.0 + tf.cos(math.pi * progress))


@keras.saving.register_keras_serializable(package="hydra_tf")
class StepRate(EpochSchedule):
    """The base rate; a tenth of it from 75 % of the epochs, and so on.

    The factor is 0.1 from `0.75 * epochs`, 0.01 from `0.9 * epochs` and 0.001
    from `epochs`, counted from the end of the warm-up. Arguments are those of
    `EpochSchedule`.

    Example:
    >>> rate = StepRate(0.1, epochs=20, steps_per_epoch=10)
    >>> [round(rate.at_epoch(epoch), 6) for epoch in (14, 15, 18, 20)]
    [0.1, 0.01, 0.001, 0.0001]
    """

    def factor(self, epoch):
        # Integers times the epoch: 0.9 * epochs may miss a whole epoch.
        drops = (
            tf.cast(4.0 * epoch >= 3.0 * self.epochs, tf.float64)
            + tf.cast(10.0 * epoch >= 9.0 * self.epochs, tf.float64)
            + tf.cast(epoch >= self.epochs, tf.float64)
        )
        return 10.0**-drops


@keras.saving.register_keras_serializable(package="hydra_tf")
class ConstantRate(EpochSchedule):
    """The base rate after the warm-up. Arguments as for `EpochSchedule`."""

    def factor(self, epoch):
        return tf.ones_like(epoch)


@keras.saving.register_keras_serializable(package="hydra_tf")
class OneCycleRate(EpochSchedule):
    """One cycle, step by step: up to the base rate along a line, then to 0.

    The rate rises from a twenty-fifth of the base rate, reaches it after 30 %
    of the steps, and falls to 0 at `epochs`; then it is 0. Momentum stays as it
    is. Large rates in the middle regularise and shorten training. The cycle is
    a warm-up itself, and `warmup_epochs` before it are rarely needed. Arguments
    are those of `EpochSchedule`.

    Example:
    >>> rate = OneCycleRate(0.5, epochs=2, steps_per_epoch=10)
    >>> [round(float(rate(step)), 4) for step in (0, 3, 6, 13, 20)]
    [0.02, 0.26, 0.5, 0.25, 0.0]

    Reference:
    - [Smith and Topin, 2017](https://arxiv.org/abs/1708.07120)
    """

    changes_within_epochs = True

    def factor(self, epoch):
        progress = tf.minimum(epoch / self.epochs, 1.0)
        rising = _ONE_CYCLE_START + (1.0 - _ONE_CYCLE_START) * (
            progress / _RISING_SHARE
        )
        falling = (1.0 - progress) / (1.0 - _RISING_SHARE)
        return tf.minimum(rising, falling)


_RATES = {
    "constant": ConstantRate,
    "cosine": CosineRate,
    "one_cycle": OneCycleRate,
    "step": StepRate,
}


def learning_rate(name: str, *args, **kwargs) -> EpochSchedule:
    """Returns the schedule of a name.

    Args:
        name: `"constant"`, `"cosine"`, `"one_cycle"` or `"step"`.
        *args: Arguments of `EpochSchedule`.
        **kwargs: Arguments of `EpochSchedule`.

    Raises:
        InputError: If there is no such rule.
    """
    if name not in _RATES:
        raise InputError(
            f"`name` {name!r} is no learning-rate schedule. "
            f"{close_matches(name, _RATES)}"
        )
    return _RATES[name](*args, **kwargs)


def _positive(name: str, value: float) -> float:
    positive = Number(
        name=name, help="", default=1.0, lower=0, exclude_lower=True
    )
    return float(positive.check(value))
