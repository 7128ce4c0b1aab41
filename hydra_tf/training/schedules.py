"""What changes with the epoch: learning rates, radii and loss weights.

Learning rates are functions of the optimizer's step, which is saved with it,
so that a resumed run goes on where it stopped; within an epoch they are
constant. The ramps that verifiable training needs are functions of the epoch,
which may be a fraction.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that is set at the start of every epoch.

    The first `warmup_epochs` epochs run at `warmup_rate`; the rule of the
    subclass counts its epochs from there.

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
        if steps_per_epoch < 1 or steps_per_epoch != int(steps_per_epoch):
            raise InputError(
                "`steps_per_epoch` must be a positive integer. "
                f"Received: {steps_per_epoch}"
            )
        self.steps_per_epoch = int(steps_per_epoch)
        if not 0 <= warmup_epochs < math.inf:
            raise InputError(
                f"`warmup_epochs` must be at least 0. Received: {warmup_epochs}"
            )
        self.warmup_epochs = float(warmup_epochs)
        self.warmup_rate = (
            None
            if warmup_rate is None
            else _positive("warmup_rate", warmup_rate)
        )

    def __call__(self, step) -> tf.Tensor:
        # Whole epochs by integer division: floats would start some too late.
        epoch = tf.cast(step, tf.int64) // self.steps_per_epoch
        since_warmup = tf.cast(epoch, tf.float64) - self.warmup_epochs
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
        """Returns the rate throughout an epoch, counted from 0."""
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


_RATES = {"constant": ConstantRate, "cosine": CosineRate, "step": StepRate}


def learning_rate(name: str, *args, **kwargs) -> EpochSchedule:
    """Returns the schedule called `"constant"`, `"cosine"` or `"step"`.

    Args:
        name: Name of the rule.
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


class Ramp:
    """A value that goes from `first` to `last` and stays.

    Args:
        start_epoch: Float, epoch up to which the value is `first`.
        end_epoch: Float > `start_epoch`, epoch from which it is `last`.
        first: Float, value before the ramp.
        last: Float, value after it.

    Call arguments:
        epoch: Scalar, number or tensor; `step / steps_per_epoch` within one.

    Returns:
        The value, a float32 scalar tensor.

    Raises:
        InputError: If the ramp does not end after it starts.
    """

    def __init__(
        self, start_epoch: float, end_epoch: float, first: float, last: float
    ):
        if not -math.inf < start_epoch < end_epoch < math.inf:
            raise InputError(
                "`end_epoch` must be later than `start_epoch`. Received: "
                f"start_epoch={start_epoch}, end_epoch={end_epoch}"
            )
        self.start_epoch = float(start_epoch)
        self.end_epoch = float(end_epoch)
        self.first = float(first)
        self.last = float(last)

    def __call__(self, epoch) -> tf.Tensor:
        length = self.end_epoch - self.start_epoch
        progress = (tf.cast(epoch, tf.float64) - self.start_epoch) / length
        share = self.share(tf.clip_by_value(progress, 0.0, 1.0))
        return tf.cast(
            self.first + (self.last - self.first) * share, tf.float32
        )

    def share(self, progress: tf.Tensor) -> tf.Tensor:
        """Returns how much of the way is done, from 0 to 1.

        Args:
            progress: Float64 scalar in [0, 1], how much of the time is over.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "start_epoch": self.start_epoch,
            "end_epoch": self.end_epoch,
            "first": self.first,
            "last": self.last,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Ramp:
        """Returns the ramp with these arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="hydra_tf")
class LinearRamp(Ramp):
    """A straight line. Arguments are those of `Ramp`.

    Example:
    >>> epsilon = LinearRamp(2, 4, first=0.0, last=8.0)
    >>> [float(epsilon(epoch)) for epoch in (0, 2, 2.5, 3, 9)]
    [0.0, 0.0, 2.0, 4.0, 8.0]
    """

    def share(self, progress):
        return progress


@keras.saving.register_keras_serializable(package="hydra_tf")
class SmoothedRamp(Ramp):
    """A fourth power for the first quarter, then a straight line.

    Value and slope are continuous where the two meet, so that training under
    a growing radius starts gently. Arguments are those of `Ramp`.

    Reference:
    - [Zhang et al., 2019](https://arxiv.org/abs/1906.06316), training
      schedules of CROWN-IBP
    """

    _MIDDLE = 0.25

    def share(self, progress):
        middle = self._MIDDLE
        # c t^4 meets the line through (1, 1) with equal slope at the middle:
        # 4 c m^3 (1 - m) = 1 - c m^4.
        scale = 1.0 / (middle**4 + 4.0 * middle**3 * (1.0 - middle))
        at_middle = scale * middle**4
        line = at_middle + (1.0 - at_middle) * (progress - middle) / (
            1.0 - middle
        )
        return tf.where(progress < middle, scale * progress**4, line)


@keras.saving.register_keras_serializable(package="hydra_tf")
class IntervalWeight:
    """Weight of MixTrain's robust loss: grows once the radius is final.

    `min(limit, base * 2.5 ** floor(max(epoch - schedule_length, 0) / 5))`.

    Args:
        schedule_length: Float >= 0, epochs over which the radius grows.
        base: Float >= 0, weight until then.
        limit: Float, largest weight.

    Call arguments:
        epoch: Scalar, number or tensor.

    Returns:
        The weight, a float32 scalar tensor.

    Reference:
    - [Wang et al., 2018](https://arxiv.org/abs/1811.02625)
    """

    def __init__(
        self, schedule_length: float, base: float = 0.1, limit: float = 50.0
    ):
        self.schedule_length = float(schedule_length)
        self.base = float(base)
        self.limit = float(limit)

    def __call__(self, epoch) -> tf.Tensor:
        late = tf.cast(epoch, tf.float64) - self.schedule_length
        # 2.5**700 is finite in float64; no limit needs more.
        growths = tf.clip_by_value(tf.floor(late / 5.0), 0.0, 700.0)
        weight = tf.minimum(self.base * 2.5**growths, self.limit)
        return tf.cast(weight, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "schedule_length": self.schedule_length,
            "base": self.base,
            "limit": self.limit,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> IntervalWeight:
        """Returns the weight with these arguments."""
        return cls(**config)


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise InputError(
            f"`{name}` must be a positive number. Received: {value}"
        )
    return float(value)
