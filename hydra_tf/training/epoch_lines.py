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
from hydra_tf.training.early_stopping import EarlyStopping

_FIGURES = {
    "natural_accuracy": "natural",
    "robust_accuracy": "robust",
    "certified_accuracy": "certified",
}


class EpochLines(keras.callbacks.Callback):
    """Writes a line per epoch with the time that is left.

    That time is measured without what is not done again: in the first step of
    training, and in that of validation, TensorFlow compiles, which is said.

    Args:
        phase: Name of the phase.
        epochs: Number of its epochs.
        steps: Number of steps in an epoch.
        mode: `"steps"`, `"epochs"`, `"auto"` (steps on a terminal, else epochs)
            or `"none"`.
        validation_steps: Number of steps of the validation after an epoch.
        stopping: What may stop training early, if anything does.
    """

    def __init__(
        self,
        phase: str,
        epochs: int,
        steps: int,
        mode: str,
        validation_steps: int = 0,
        stopping: EarlyStopping | None = None,
    ):
        super().__init__()
        self._phase = phase
        self._epochs = epochs
        self._steps = steps
        self._mode = mode
        self._validation_steps = validation_steps
        self._stopping = stopping
        self._epoch = 0
        self._epoch_start = 0.0
        self._training = _Pace()
        self._validation = _Pace()
        # Checkpoints, images for TensorBoard, rounds of pruning.
        self._between = _Pace()
        self._last_step = 0.0
        self._ticker: Ticker | None = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._epoch_start = time.monotonic()
        self._between.update(1)
        self._ticker = self._start(self._training, "step", self._steps)

    def on_train_batch_end(self, batch, logs=None):
        self._last_step = self._training.update(batch + 1)
        if self._ticker is not None:
            self._ticker.update(batch + 1, f"loss {float(logs['loss']):.4f}")

    def on_test_begin(self, logs=None):
        self._close()
        self._ticker = self._start(
            self._validation, "validation step", self._validation_steps
        )

    def on_test_batch_end(self, batch, logs=None):
        self._last_step = self._validation.update(batch + 1)
        if self._ticker is not None:
            self._ticker.update(batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        self._close()
        self._between.start(self._last_step)
        if self._mode == "none":
            return
        logs = logs or {}
        figures = [
            f"{word} {text.percent(float(logs[name])):>7}"
            for name, word in self._figures()
            if name in logs
        ]
        if "epsilon" in logs:
            # Of objectives that let the radius grow.
            figures.append(f"epsilon {float(logs['epsilon']):.4f}")
        if "density" in logs:
            figures.append(f"density {float(logs['density']):.4f}")
        seconds = time.monotonic() - self._epoch_start
        say(
            f"  {self._label()}  loss {float(logs['loss']):7.4f}  "
            f"{'  '.join(figures)}  {seconds:5.1f} s{self._ending(epoch)}"
        )

    def _ending(self, epoch: int) -> str:
        """Returns what the line says of the epochs to come."""
        remark = "" if self._stopping is None else self._stopping.remark(epoch)
        left = self._seconds_left(epoch)
        if left and not remark:
            remark = f"{text.duration(left)} left"
        return f"  {remark}" if remark else ""

    def _start(self, pace: _Pace, what: str, steps: int) -> Ticker:
        """Starts to count steps, the first of all of which compiles."""
        compiles = not pace.started
        pace.start(time.monotonic())
        return Ticker(
            f"{self._label()}  {what}", steps, self._mode, compiles=compiles
        )

    def _close(self) -> None:
        if self._ticker is not None:
            self._ticker.close()
        self._ticker = None

    def _seconds_left(self, epoch: int) -> float | None:
        """Returns the time of the epochs to come, `None` before it is known."""
        training = self._training.seconds(self._steps)
        validation = self._validation.seconds(self._validation_steps)
        if training is None or validation is None:
            return None
        between = self._between.seconds(1) or 0.0
        return (training + validation + between) * (self._epochs - epoch - 1)

    def _figures(self) -> list[tuple[str, str]]:
        """Returns the names of figures, each with what it is called here."""
        words = dict(_FIGURES)
        objective = getattr(self.model, "objective", None)
        if isinstance(objective, RandomizedSmoothing):
            # Noise is no attack.
            words["robust_accuracy"] = "noisy"
        return [
            (prefix + name, shown + word)
            for prefix, shown in (("", ""), ("val_", "val "))
            for name, word in words.items()
        ]

    def _label(self) -> str:
        width = len(str(self._epochs))
        return f"{self._phase} {self._epoch + 1:{width}d}/{self._epochs}"


class _Pace:
    """The time that steps take, without the first of all, which compiles.

    Attributes:
        started: Whether there was a first step, or is one under way.
    """

    def __init__(self) -> None:
        self.started = False
        self._seconds = 0.0
        self._steps = 0
        # Where the step under way began, and how many were done by then.
        self._since: tuple[float, int] | None = None

    def start(self, now: float) -> None:
        """Starts to count from 0."""
        self._since = (now, 0) if self.started else None
        self.started = True

    def update(self, done: int) -> float:
        """Takes note of how many steps are done; returns the time."""
        now = time.monotonic()
        if self._since is not None:
            self._seconds += now - self._since[0]
            self._steps += done - self._since[1]
        self._since = now, done
        return now

    def seconds(self, steps: int) -> float | None:
        """Returns what so many steps take, `None` before it is known."""
        if not steps:
            return 0.0
        if not self._steps:
            return None
        return self._seconds / self._steps * steps
