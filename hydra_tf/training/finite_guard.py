"""Stopping a training whose loss or weights are no finite numbers."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import interrupts
from hydra_tf.errors import DivergedError
from hydra_tf.errors import InputError
from hydra_tf.ops.masks import NAN_SCORES


class FiniteGuard(keras.callbacks.Callback):
    """Stops a phase whose loss or weights are no finite numbers.

    Has to come before the callback that writes checkpoints. Keras'
    `TerminateOnNaN` looks at the loss alone, and ends `fit` as if all was well.

    Args:
        phase: Name of the phase.
        variables: The weights to look at after every epoch.
    """

    def __init__(self, phase: str, variables: list[keras.Variable]):
        super().__init__()
        self._phase = phase
        self._variables = variables
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        interrupts.check()
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            self._stop(f"step {batch + 1}", f"the loss is {loss}")

    def on_epoch_end(self, epoch, logs=None):
        for variable in self._variables:
            if not np.all(np.isfinite(np.asarray(variable))):
                self._stop("its end", f"{variable.path} is not finite")

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Stops also where a step of the block finds no mask for its scores.

        A step whose loss is finite may leave scores that are NaN; the next one
        then ends in an error of TensorFlow.
        """
        try:
            yield
        except (tf.errors.InvalidArgumentError, InputError) as error:
            if NAN_SCORES not in str(error):
                raise
            self._stop("one of its steps", "scores or weights are NaN")

    def _stop(self, where: str, what: str) -> None:
        rate = float(np.asarray(self.model.optimizer.learning_rate))
        precision = keras.config.dtype_policy().name
        raise DivergedError(
            f"{self._phase} phase, epoch {self._epoch + 1}, {where}: {what}. "
            f"The last checkpoint is kept. Try a lower `learning_rate` (now "
            f"{rate:.3g}), more `warmup_epochs`"
            + (" or the `precision` float32." if "16" in precision else ".")
        )
