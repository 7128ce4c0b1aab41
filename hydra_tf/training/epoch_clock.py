"""The epoch, as a number that a traced training step can read."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.objectives.base import Objective
from hydra_tf.schedules import Schedule


class EpochClock:
    """Counts the epochs of training, within an epoch as a fraction.

    It counts batches, not the optimiser's steps, which stand still while
    gradients are accumulated and do not start at 0 in a later phase. The counts
    are variables, so that no epoch needs a new trace; they are no weights of a
    model and are not saved. Create the clock in the scope of a strategy to have
    them on every replica.
    """

    def __init__(self) -> None:
        self._epoch = tf.Variable(0.0, trainable=False, name="epoch")
        # Zero stands for a number that is not known yet.
        self._steps = tf.Variable(0.0, trainable=False, name="steps")
        self._batches = tf.Variable(
            0,
            trainable=False,
            dtype=tf.int64,
            name="batches",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def start_epoch(self, epoch: int, steps_per_epoch: int | None) -> None:
        """Starts an epoch: none of its batches is done.

        Args:
            epoch: Number of epochs done.
            steps_per_epoch: Batches in this one, or None if that is not known:
                then `now` stands still.
        """
        self._epoch.assign(float(epoch))
        self._steps.assign(float(steps_per_epoch or 0))
        self._batches.assign(0)

    def now(self) -> tf.Tensor:
        """Returns the number of epochs done, a float32 scalar."""
        share = tf.math.divide_no_nan(
            tf.cast(self._batches, tf.float32), self._steps
        )
        return self._epoch + tf.minimum(share, 1.0)

    def tick(self) -> None:
        """Counts a batch."""
        self._batches.assign_add(1)

    @property
    def batches(self) -> int:
        """Number of batches of this epoch that are done."""
        return int(self._batches.numpy())


def check_length(x: Any, steps_per_epoch: Any, objective: Objective) -> None:
    """Raises `InputError` if `fit` cannot know how long an epoch is.

    Args:
        x: What it was given.
        steps_per_epoch: The same, `None` for all of `x`.
        objective: Whose schedules follow the epoch batch by batch.
    """
    if steps_per_epoch is not None:
        return
    size = None
    if isinstance(x, tf.data.Dataset):
        size = x.cardinality()
    if size == tf.data.INFINITE_CARDINALITY:
        raise InputError(
            "`steps_per_epoch` is required for a dataset without end: give it, "
            "or leave out `repeat`"
        )
    scheduled = [
        name
        for name, value in vars(objective).items()
        if isinstance(value, Schedule) and not name.startswith("_")
    ]
    is_unknown = size == tf.data.UNKNOWN_CARDINALITY or inspect.isgenerator(x)
    if scheduled and is_unknown:
        raise InputError(
            f"`steps_per_epoch` is required, as the schedule `{scheduled[0]}` "
            "of the objective follows the epoch and the number of batches of "
            "`x` is not known: give it, or apply "
            "tf.data.experimental.assert_cardinality"
        )


class EpochTurns(keras.callbacks.Callback):
    """Tells a model when an epoch of `fit` starts and ends.

    Args:
        model: A `hydra_tf.RobustModel`, or what has its methods `start_epoch`
            and `end_epoch`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._told = model
        self._steps: int | None = None

    def before(self, callbacks: Any) -> Any:
        """Returns the callbacks of `fit` with this one as the first.

        The user's own may read schedules in their turn.

        Args:
            callbacks: What `fit` was given.
        """
        if isinstance(callbacks, keras.callbacks.CallbackList):
            self.set_params(callbacks.params)
            callbacks.callbacks.insert(0, self)
            return callbacks
        return [self, *keras.tree.flatten(callbacks or [])]

    def on_train_begin(self, logs=None):
        self._steps = (self.params or {}).get("steps")

    def on_epoch_begin(self, epoch, logs=None):
        self._told.start_epoch(epoch, self._steps)

    def on_epoch_end(self, epoch, logs=None):
        batches = self._told.end_epoch()
        # A dataset of unknown length has been counted by now.
        self._steps = self._steps or batches
