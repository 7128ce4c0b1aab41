"""Keeping the weights of the best epoch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError

# What is better known of a network comes first.
_MONITORS = ("certified_accuracy", "robust_accuracy", "natural_accuracy")
# Less than any figures.
_NONE = (-math.inf,)


class BestWeights(keras.callbacks.Callback):
    """Ends a `fit` with the weights of its best epoch.

    With learned densities only those epochs count at whose end the target was
    reached: an epoch that kept more than it may is no rival. And where figures
    of training are compared, which were taken during the epoch, the target
    must have been reached at its start already. If there is no such epoch,
    the last weights stay, and `hydra_tf.settle_densities` cuts what is above
    the target.

    Weights are those of the network alone, averaged where the model averages
    them; the optimiser keeps its state of the last epoch.

    Args:
        monitor: Name of the log to compare, larger is better. By default
            `certified_accuracy`, `robust_accuracy` or `natural_accuracy`,
            the first that is logged, on the validation data where there is
            some; of epochs that are equal in it, those after it decide.
            (Figures of training follow the schedules of the objective:
            a ramp of epsilon makes its first epochs look better than they are.
            Then count from its end on, or use validation data.)
        is_eligible: Function without arguments that says at the start and the
            end of an epoch whether it counts; by default `target_reached` of
            the model that is fitted, or true if it has no such attribute.
        start_from_epoch: Integer, the first epoch that counts, from 0.

    Attributes:
        epoch: Number of the best epoch so far, from 0; `None` before there is
            one.
        value: What the monitor was then.

    Example:
        ```python
        best = hydra_tf.training.BestWeights()
        robust.fit(images, labels, epochs=20, callbacks=[best])
        print(best.epoch, best.value)
        ```
    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        is_eligible: Callable[[], bool] | None = None,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.monitor = monitor
        self._is_eligible = is_eligible
        self.start_from_epoch = start_from_epoch
        self.epoch: int | None = None
        # The monitor, and what decides between epochs that are equal in it.
        self._figures: tuple[float, ...] = _NONE
        self._weights: list[np.ndarray] = []
        self._counted_before = True

    @property
    def value(self) -> float:
        """What the monitor was in the best epoch."""
        return self._figures[0]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._counted_before = self._counts()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        monitors = self._choose_monitors(logs or {})
        found = tuple(float(logs[name]) for name in monitors)
        # A value that is no number is not better than any.
        if (
            epoch >= self.start_from_epoch
            and found > self._figures
            and self._counts()
            and (self._counted_before or monitors[0].startswith("val_"))
        ):
            self.epoch = epoch
            self._figures = found
            with self._averaged():
                self._weights = [
                    np.array(weight) for weight in self._network().weights
                ]

    def on_train_end(self, logs: Any = None) -> None:
        self.restore()

    def restore(self) -> None:
        """Gives the network the weights of the best epoch, if there is one."""
        if self.epoch is None:
            return
        for weight, value in zip(
            self._network().weights, self._weights, strict=True
        ):
            weight.assign(value)
        average = getattr(self.model, "weight_average", None)
        if average is not None:
            average.restart()

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns what a later `set_state` needs, as arrays by name.

        For a checkpoint, from which a run may resume.
        """
        if self.epoch is None:
            return {}
        return {
            "epoch": np.asarray(self.epoch),
            "value": np.asarray(self._figures),
            **{
                f"weight_{index:05d}": weight
                for index, weight in enumerate(self._weights)
            },
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `get_state` returned.

        Args:
            state: Arrays by name.

        Raises:
            InputError: If they are not such a state.
        """
        if not state:
            self.epoch, self._figures, self._weights = None, _NONE, []
            return
        weights = sorted(name for name in state if name.startswith("weight_"))
        if set(state) != {"epoch", "value", *weights}:
            raise InputError(
                "`state` must be what BestWeights.get_state returned. "
                f"Received: {', '.join(sorted(state))}"
            )
        self.epoch = int(state["epoch"])
        self._figures = tuple(map(float, np.ravel(state["value"])))
        self._weights = [np.asarray(state[name]) for name in weights]

    def _choose_monitors(self, logs: Mapping[str, Any]) -> list[str]:
        """Returns the log to compare, and those for epochs equal in it."""
        choices = [
            [prefix + name for name in _MONITORS] for prefix in ("val_", "")
        ]
        if self.monitor is not None:
            choices = [[self.monitor]]
        for names in choices:
            found = [name for name in names if name in logs]
            if found:
                return found
        raise InputError(
            f"`monitor` must be a log of training: {', '.join(logs)}. "
            f"Received: monitor={self.monitor!r}"
        )

    def _counts(self) -> bool:
        if self._is_eligible is not None:
            return bool(self._is_eligible())
        return bool(getattr(self.model, "target_reached", True))

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which weights are those that were measured."""
        averaged = getattr(self.model, "averaged", contextlib.nullcontext)
        return averaged()

    def _network(self) -> Any:
        return getattr(self.model, "network", self.model)
