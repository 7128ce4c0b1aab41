"""Telling when training by single attack steps has overfitted to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from collections.abc import Sequence

import keras

from hydra_tf import text
from hydra_tf.progress import say

# What is left of the best robust accuracy, at most, and what is lost, at least.
_SHARE_LEFT = 0.5
_LEAST_LOSS = 0.1

_TRAINING = "robust_accuracy"
_ROBUST = "val_robust_accuracy"
_NATURAL = "val_natural_accuracy"


class CatastrophicOverfitting(keras.callbacks.Callback):
    """Warns when a network withstands the attack of training alone.

    That is so if robust accuracy in validation, under PGD, falls to half of
    what it was or less, while that of the attack in training has not fallen and
    images as they are still are classified. It takes an epoch or two, mostly
    in training by single steps. A phase is warned of once: in a line where
    progress is shown, else by a `UserWarning`.

    Args:
        phase: Name of the phase.
        history: Figures of the epochs, the one that ends included.
        progress: `"none"`, or what is shown.

    Reference:

    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994), section 5.4
    """

    def __init__(
        self,
        phase: str,
        history: Sequence[Mapping[str, float]],
        progress: str = "none",
    ) -> None:
        super().__init__()
        self._phase = phase
        self._history = history
        self._progress = progress

    def on_epoch_end(self, epoch, logs=None):
        # A phase that is resumed was warned of before.
        if overfitted_epoch(self._history) != len(self._history):
            return
        line = (
            f"catastrophic overfitting in epoch {len(self._history)} of the "
            f"{self._phase} phase: robust accuracy in validation is "
            f"{text.percent(self._history[-1][_ROBUST])}, and "
            f"{text.percent(self._history[-1][_TRAINING])} under the attack of "
            "training; select the best epoch, and train with noise "
            "(noise_magnitude=2 of fgsm), a warm start or more steps"
        )
        if self._progress == "none":
            warnings.warn(line, UserWarning, stacklevel=2)
        else:
            say(f"  warning: {line}")


def overfitted_epoch(history: Sequence[Mapping[str, float]]) -> int | None:
    """Returns the first epoch, from 1, that has overfitted; `None` without.

    Args:
        history: Figures of epochs by name; without those of validation it
            cannot be told.
    """
    best: Mapping[str, float] | None = None
    for number, figures in enumerate(history, 1):
        if not {_TRAINING, _ROBUST, _NATURAL} <= figures.keys():
            continue
        if best is not None and (
            figures[_ROBUST] <= _SHARE_LEFT * best[_ROBUST]
            and figures[_ROBUST] <= best[_ROBUST] - _LEAST_LOSS
            and figures[_TRAINING] >= best[_TRAINING]
            and figures[_NATURAL] > _SHARE_LEFT * best[_NATURAL]
        ):
            return number
        if best is None or figures[_ROBUST] > best[_ROBUST]:
            best = figures
    return None
