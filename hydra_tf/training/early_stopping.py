"""Stopping a phase that gets no better."""

from __future__ import annotations

import keras

from hydra_tf.training.best_weights import BestWeights


class EarlyStopping(keras.callbacks.Callback):
    """Stops training once some epochs in a row were not the best.

    Keras' own does not know which epochs count, nor after a resumption how long
    it has waited: here that follows from the best epoch, which is kept.

    Args:
        best: What holds the best epoch. It has to have seen an epoch before
            this callback does.
        patience: Integer >= 1, the number of epochs that are waited for a
            better one.
        epochs: Epochs of the training, which does not stop early in the last.
        start_from_epoch: Integer, the epoch from 0 before which none is waited
            for: until then the objective's radius still grows.

    Reference:

    - [Rice et al., 2020](https://arxiv.org/abs/2002.11569), section 3.4
    """

    def __init__(
        self,
        best: BestWeights,
        patience: int,
        *,
        epochs: int,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self._best = best
        self._patience = patience
        self._epochs = epochs
        self._start_from_epoch = start_from_epoch

    def stops_after(self, epoch: int) -> bool:
        """Whether training stops early after an epoch, the last so far.

        Args:
            epoch: Its number, from 0.
        """
        best = self._best.epoch
        if best is None or epoch + 1 >= self._epochs:
            return False
        waited_from = max(best, self._start_from_epoch - 1)
        return epoch - waited_from >= self._patience

    def remark(self, epoch: int) -> str:
        """Returns what is said after an epoch, nothing if training goes on."""
        if self._best.epoch is None or not self.stops_after(epoch):
            return ""
        return f"stopped early, best was epoch {self._best.epoch + 1}"

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.stops_after(epoch):
            self.model.stop_training = True
