"""Ramps: radii and weights of an objective that depend on the epoch.

A schedule is a function of the epoch, which may be a fraction; objectives take
one wherever their documentation says "float or schedule". Derive one of your
own from `Schedule`. Learning rates are `hydra_tf.training.learning_rates`.
"""

from __future__ import annotations

import numbers
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import RAMP
from hydra_tf.registry.settings import Number

__all__ = [
    "Constant",
    "IntervalWeight",
    "LinearRamp",
    "Ramp",
    "Schedule",
    "SmoothedRamp",
    "as_schedule",
    "ramp",
    "value_at",
]

# Later than the end of any schedule, and exact in float32.
_LATE = 2.0**24


class Schedule:
    """Base of the values that depend on the epoch.

    A subclass defines `__call__`, `get_config` and, if it can say so without
    being called, `last`. Schedules of one type and configuration are equal.

    Call arguments:
        epoch: Scalar >= 0, number or tensor; `step / steps_per_epoch` within
            an epoch.

    Returns:
        The value, a float32 scalar tensor.

    Attributes:
        end_epoch: Float, epoch from which the value is `last`; 0 where that is
            not known.
    """

    end_epoch: float = 0.0

    def __call__(self, epoch: Any) -> tf.Tensor:
        raise NotImplementedError

    @property
    def last(self) -> float:
        """Float, the value at the end, which evaluation uses."""
        with tf.init_scope():
            return float(self(_LATE))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schedule:
        """Returns the schedule with these arguments."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Schedule)
            and type(other) is type(self)
            and other.get_config() == self.get_config()
        )

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({settings})"


@keras.saving.register_keras_serializable(package="hydra_tf")
class Constant(Schedule):
    """The same value in every epoch.

    Args:
        value: Float.
    """

    def __init__(self, value: float):
        self.value = _number("value", value)

    def __call__(self, epoch: Any) -> tf.Tensor:
        return tf.constant(self.value, tf.float32)

    @property
    def last(self) -> float:
        return self.value

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


class Ramp(Schedule):
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
        InputError: If the ramp does not end after it starts, or an argument is
            no finite number.
    """

    def __init__(
        self, start_epoch: float, end_epoch: float, first: float, last: float
    ):
        self.start_epoch = _number("start_epoch", start_epoch)
        self.end_epoch = _number("end_epoch", end_epoch)
        if not self.start_epoch < self.end_epoch:
            raise InputError(
                "`end_epoch` must be later than `start_epoch`. Received: "
                f"start_epoch={start_epoch}, end_epoch={end_epoch}"
            )
        self.first = _number("first", first)
        self._last = _number("last", last)

    @property
    def last(self) -> float:
        return self._last

    def __call__(self, epoch: Any) -> tf.Tensor:
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
        return {
            "start_epoch": self.start_epoch,
            "end_epoch": self.end_epoch,
            "first": self.first,
            "last": self.last,
        }


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
class IntervalWeight(Schedule):
    """Weight of MixTrain's robust loss: grows once the radius is final.

    `min(limit, base * 2.5 ** floor(max(epoch - schedule_length, 0) / 5))`.

    Args:
        schedule_length: Float >= 0, epochs over which the radius grows.
        base: Float >= 0, weight until then.
        limit: Float >= 0, largest weight.

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
        self.schedule_length = _number("schedule_length", schedule_length, 0)
        self.base = _number("base", base, 0)
        self.limit = _number("limit", limit, 0)

    @property
    def last(self) -> float:
        return self.limit if self.base else 0.0

    def __call__(self, epoch: Any) -> tf.Tensor:
        late = tf.cast(epoch, tf.float64) - self.schedule_length
        # 2.5**700 is finite in float64; no limit needs more.
        growths = tf.clip_by_value(tf.floor(late / 5.0), 0.0, 700.0)
        weight = tf.minimum(self.base * 2.5**growths, self.limit)
        return tf.cast(weight, tf.float32)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule_length": self.schedule_length,
            "base": self.base,
            "limit": self.limit,
        }


def ramp(shape: str, start_epoch: float, end_epoch: float, last: float) -> Ramp:
    """Returns a ramp from 0 to `last`.

    Args:
        shape: `"linear"` or `"smoothed"`.
        start_epoch: Float, epoch up to which the value is 0.
        end_epoch: Float > `start_epoch`, epoch from which it is `last`.
        last: Float, value after the ramp.
    """
    ramps = {"linear": LinearRamp, "smoothed": SmoothedRamp}
    return ramps[RAMP.check(shape)](start_epoch, end_epoch, 0.0, last)


def as_schedule(setting: Number, value: Any) -> Schedule:
    """Returns a schedule as it is, and a number as a `Constant`.

    Args:
        setting: Name of the argument and its range. Of a schedule the first
            and the last value are looked at.
        value: Float or `Schedule`.

    Raises:
        InputError: If `value` is neither, not finite, or out of range.

    Example:
    >>> as_schedule(Number(name="epsilon", help="", lower=0), 0.5)
    Constant(value=0.5)
    """
    name = setting.name
    if isinstance(value, Schedule):
        with tf.init_scope():
            ends = float(value(0.0)), value.last
        if not all(map(setting.accepts, ends)):
            raise InputError(
                f"`{name}` must start and end at {setting.range}. Received: "
                f"{name}={value!r}"
            )
        return value
    if not isinstance(value, numbers.Real):
        raise InputError(
            f"`{name}` must be a number or a schedule of hydra_tf.schedules. "
            f"Received: {name}={value!r}"
        )
    return Constant(setting.check(value))


def value_at(schedule: Schedule, epoch: Any | None) -> float | tf.Tensor:
    """Returns the value at an epoch: a Python float where it is known.

    That is so for a constant, and at the schedule's end.

    Args:
        schedule: The schedule.
        epoch: Scalar, or None for the schedule's end.
    """
    if epoch is None or isinstance(schedule, Constant):
        return schedule.last
    return schedule(epoch)


def _number(name: str, value: Any, lower: float | None = None) -> float:
    return float(
        Number(name=name, help="", default=0.0, lower=lower).check(value)
    )
