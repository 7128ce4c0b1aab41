"""A line per epoch, and within an epoch a count of its steps.

Keras' progress bar knows neither the time that is left of a phase nor that it
was resumed, and is no line of a log file.
"""

from __future__ import annotations

import time

import keras

from hydra_tf import text
from hydra_tf.objectives import RandomizedSmoothing
from hydra_tf.progress import Ticker
from hydra_tf.progress import say

_FIGURES = {
    "natural_accuracy": "natural",
    "robust_accuracy": "robust",
    "certified_accuracy": "certified",
}


class EpochLines(keras.callbacks.Callback):
    """Writes a line per epoch with the time that is left.

    Args:
        phase: Name of the phase.
        epochs: Number of its epochs.
        steps: Number of steps in an epoch.
        mode: `"steps"`, `"epochs"`, `"auto"` (steps on a terminal, else epochs)
            or `"none"`.
    """

    def __init__(
        self,
        phase: str,
        epochs: int,
        steps: int,
        mode: str,
    ):
        super().__init__()
        self._phase = phase
        self._epochs = epochs
        self._steps = steps
        self._mode = mode
        self._first_epoch: int | None = None
        self._start = self._epoch_start = 0.0
        self._ticker: Ticker | None = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_start = time.monotonic()
        if self._first_epoch is None:
            self._first_epoch, self._start = epoch, self._epoch_start
        self._ticker = Ticker(
            f"{self._label(epoch)}  step", self._steps, self._mode
        )

    def on_train_batch_end(self, batch, logs=None):
        if self._ticker is not None:
            self._ticker.update(batch + 1, f"loss {float(logs['loss']):.4f}")

    def on_epoch_end(self, epoch, logs=None):
        if self._ticker is not None:
            self._ticker.close()
        if self._mode == "none":
            return
        now = time.monotonic()
        done = epoch + 1 - (self._first_epoch or 0)
        left = (now - self._start) / done * (self._epochs - epoch - 1)
        figures = [
            f"{self._word(name)} {text.percent(float(logs[name])):>7}"
            for name in _FIGURES
            if name in (logs or {})
        ]
        if "epsilon" in (logs or {}):
            # Of objectives that let the radius grow.
            figures.append(f"epsilon {float(logs['epsilon']):.4f}")
        if "density" in (logs or {}):
            figures.append(f"density {float(logs['density']):.4f}")
        say(
            f"  {self._label(epoch)}  loss {float(logs['loss']):7.4f}  "
            f"{'  '.join(figures)}  {now - self._epoch_start:5.1f} s"
            + (f"  {text.duration(left)} left" if left else "")
        )

    def _word(self, name: str) -> str:
        objective = getattr(self.model, "objective", None)
        if name == "robust_accuracy" and isinstance(
            objective, RandomizedSmoothing
        ):
            # Noise is no attack.
            return "noisy"
        return _FIGURES[name]

    def _label(self, epoch: int) -> str:
        width = len(str(self._epochs))
        return f"{self._phase} {epoch + 1:{width}d}/{self._epochs}"
