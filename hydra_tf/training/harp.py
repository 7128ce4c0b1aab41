"""What pulls learned densities to their target while a network trains."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.ops.counts import check_density
from hydra_tf.pruning.flops import check_resource
from hydra_tf.pruning.harp import CompressionLoss
from hydra_tf.pruning.naming import prunable_layers

# What training reports of it.
FIGURES = ("compression_loss", "density", "gamma")


@keras.saving.register_keras_serializable(package="hydra_tf")
class Compression:
    """Adds a growing pressure on learned densities to any objective.

    A `hydra_tf.RobustModel` that is given one minimises the objective's loss
    plus `gamma * compression_loss` (see `hydra_tf.CompressionLoss`). In epoch
    `e` from 0, `gamma` is `(e + 1) * gamma_step`. As soon as the compression
    loss, rounded to four decimals, is 0 at the end of an epoch, `gamma` stays
    what it is for good, even if the loss rises later.

    Training logs three figures, as they are after the last step of an epoch:
    `compression_loss`, `density` (the fraction of weights or FLOPs that the
    densities keep) and `gamma`.

    Args:
        density: Float in (0, 1], the target, as for
            `hydra_tf.learn_densities`.
        gamma_step: Float > 0, what gamma grows by at every epoch. HARP has
            0.01 for CIFAR-10 and SVHN, 0.1 for ImageNet.
        resource: What the target counts: `"weights"` or `"flops"`.

    Example:
        ```python
        hydra_tf.learn_densities(network, 0.01)
        hydra_tf.set_phase(network, "prune")
        robust = hydra_tf.RobustModel(
            network,
            hydra_tf.objectives.Madry(),
            compression=hydra_tf.training.Compression(0.01),
        )
        robust.compile(hydra_tf.training.SGD(0.1, momentum=0.9))
        robust.fit(images, labels, batch_size=128, epochs=20)
        hydra_tf.settle_densities(network, 0.01)
        ```

    Reference:

    - [Zhao and Wressnegger, 2023](https://openreview.net/forum?id=sAJDi9lD06L),
      section 3.3
    """

    def __init__(
        self,
        density: float,
        *,
        gamma_step: float = 0.01,
        resource: str = "weights",
    ) -> None:
        check_density(density)
        check_resource(resource)
        if (
            isinstance(gamma_step, bool)
            or not isinstance(gamma_step, int | float | np.number)
            or not 0 < gamma_step < math.inf
        ):
            raise InputError(
                "`gamma_step` must be a positive number. "
                f"Received: gamma_step={gamma_step!r}"
            )
        self.density = float(density)
        self.gamma_step = float(gamma_step)
        self.resource = resource

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments by name."""
        return {
            "density": self.density,
            "gamma_step": self.gamma_step,
            "resource": self.resource,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Compression:
        """Returns the compression that `get_config` describes."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="hydra_tf")
class CompressionState(keras.Layer):
    """Where the schedule of a `Compression` is: the state of one training.

    A layer, so that what it knows is saved and restored with the model that
    trains.

    Args:
        settings: The `Compression`.
        **kwargs: Passed to `keras.Layer`.

    Attributes:
        gamma: Float32 variable, the factor of the compression loss.
        frozen: Bool variable, whether gamma stays what it is.
    """

    def __init__(self, settings: Compression, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._loss: CompressionLoss | None = None
        self.gamma = self.add_weight(
            shape=(),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            autocast=False,
            name="gamma",
        )
        self.frozen = self.add_weight(
            shape=(),
            dtype="bool",
            initializer=lambda shape, dtype: tf.zeros(shape, dtype),
            trainable=False,
            autocast=False,
            name="gamma_frozen",
        )
        self.built = True

    def watch(self, network: keras.Model) -> None:
        """Takes the densities of a network, as its layers are now.

        Args:
            network: Model with learned densities.

        Raises:
            InputError: If no density is learned.
        """
        layers = prunable_layers(network).values()
        if all(layer.rate is None for layer in layers):
            raise InputError(
                "`compression` needs a network that learns its densities: "
                "call hydra_tf.learn_densities before compile(), or leave it "
                "out"
            )
        self._loss = CompressionLoss(
            network, self._settings.density, self._settings.resource
        )

    def start_epoch(self, epoch: int) -> None:
        """Sets gamma for an epoch.

        Args:
            epoch: Number of epochs done.
        """
        if not self._is_frozen():
            self.gamma.assign((epoch + 1) * self._settings.gamma_step)

    def end_epoch(self) -> None:
        """Freezes gamma if the target is reached."""
        if not self._is_frozen() and self.is_reached():
            self.frozen.assign(True)

    def is_reached(self) -> bool:
        """Returns whether the densities are at the target now, or below."""
        return self._loss is not None and self._loss.is_reached()

    def weighted_loss(self) -> tf.Tensor:
        """Returns what to add to a training loss, a float32 scalar."""
        return self.gamma.value * self._watched()()

    def figures(self) -> dict[str, tf.Tensor]:
        """Returns the figures of the logs by name."""
        loss = self._watched()
        values = (loss(), loss.current(), self.gamma.value)
        return dict(zip(FIGURES, values, strict=True))

    def _watched(self) -> CompressionLoss:
        if self._loss is None:
            raise ValueError("`watch` has not been called")
        return self._loss

    def _is_frozen(self) -> bool:
        return bool(np.asarray(self.frozen))
