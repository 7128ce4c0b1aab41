"""What a step of `RobustModel` logs, as means over an epoch."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.objectives.loss import Loss
from hydra_tf.training.batch import Batch


class StepLogs:
    """The means of loss, terms, accuracies and figures over an epoch.

    Args:
        term_names: Terms of a `Loss` to log.
        figure_names: Figures of a `Loss` to log.
        is_attacked: Whether `robust_accuracy` is logged.

    Attributes:
        means: Keras metrics by name, in the order of the logs.
    """

    def __init__(
        self,
        term_names: Iterable[str],
        figure_names: Iterable[str],
        is_attacked: bool,
    ) -> None:
        self._term_names = tuple(term_names)
        self._figure_names = tuple(figure_names)
        names = ["loss", *self._term_names, "natural_accuracy"]
        if is_attacked:
            names.append("robust_accuracy")
        self.means = {
            name: keras.metrics.Mean(name=name)
            for name in (*names, *self._figure_names)
        }

    def update(
        self,
        batch: Batch,
        total: tf.Tensor,
        loss: Loss,
        logits: Mapping[str, tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Adds a batch and returns the means so far.

        Args:
            batch: Images and labels.
            total: Scalar, the loss with the losses of the network's own.
            loss: What the objective returned.
            logits: `"natural"` and, if the step reports it, `"robust"`.
        """
        values = {
            "loss": total,
            **_those(loss.terms, self._term_names),
            **{
                f"{kind}_accuracy": _accuracy(each, batch.classes)
                for kind, each in logits.items()
            },
        }
        for name, value in values.items():
            self.means[name].update_state(value, sample_weight=batch.rows)
        figures = _those(loss.figures, self._figure_names)
        for name, figure in figures.items():
            self._update_figure(self.means[name], figure, batch)
        return {name: self.means[name].result() for name in (*values, *figures)}

    def never_updated(self) -> list[str]:
        """Returns the names of the means that hold no batch."""
        return [
            name
            for name, mean in self.means.items()
            if not np.any(np.asarray(mean.count))
        ]

    def _update_figure(
        self, mean: keras.metrics.Mean, figure: Any, batch: Batch
    ) -> None:
        if isinstance(figure, tuple):
            value, weight = figure
            rows = tf.cast(batch.rows, tf.float32)
            mean.update_state(value, sample_weight=weight * rows)
        else:
            # Of these the last one counts.
            mean.reset_state()
            mean.update_state(figure)


def _those(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(tf.equal(predicted, labels), tf.float32))
