"""A profile of some steps of each phase, for TensorBoard."""

from __future__ import annotations

import pathlib

import keras
import tensorflow as tf


class ProfileSteps(keras.callbacks.Callback):
    """Profiles training from one step to another.

    Steps are counted from where the phase begins, or resumes; the first ones
    include tracing.

    Args:
        folder: Where the profile goes, in `plugins/profile` below it.
        first: First step, from 1 on.
        last: Last step.
    """

    def __init__(self, folder: pathlib.Path, first: int, last: int):
        super().__init__()
        self._folder = folder
        self._first = first
        self._last = last
        # Steps of the epochs before, and those of this one.
        self._before = self._done = 0
        self._runs = self._is_over = False

    def on_train_batch_begin(self, batch, logs=None):
        if self._is_over or self._runs:
            return
        # Not only the step itself: several may be one call.
        steps = getattr(self.model, "steps_per_execution", 1)
        if self._before + batch + steps >= self._first:
            tf.profiler.experimental.start(str(self._folder))
            self._runs = True

    def on_train_batch_end(self, batch, logs=None):
        self._done = batch + 1
        if self._runs and self._before + self._done >= self._last:
            self._stop()

    def on_epoch_end(self, epoch, logs=None):
        self._before += self._done
        self._done = 0

    def on_train_end(self, logs=None):
        if self._runs:
            self._stop()

    def _stop(self) -> None:
        tf.profiler.experimental.stop()
        self._runs, self._is_over = False, True
