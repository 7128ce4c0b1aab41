"""The exponential moving average of a network's weights while it trains."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from hydra_tf.layers.traversal import find_masked
from hydra_tf.registry.training import WEIGHT_AVERAGING


@dataclasses.dataclass
class _Watched:
    """Holds a network's variables where Keras does not save them again."""

    variables: list[keras.Variable]


@keras.saving.register_keras_serializable(package="hydra_tf")
class WeightAverage(keras.Layer):
    """The average of a network's weights, with those of late steps foremost.

    After every step `average = decay * average + (1 - decay) * weight`, from
    the weights that training begins with. All float weights count, running
    statistics included, but not what masks follow from: those of now apply to
    the average as well. Keras' `use_ema` leaves the statistics out.

    A layer, so that it is saved and restored with the model that trains.

    Args:
        decay: Float in (0, 1).
        **kwargs: Passed to `keras.Layer`.

    Reference:

    - [Izmailov et al., 2018](https://arxiv.org/abs/1803.05407)
    - [Rebuffi et al., 2021](https://arxiv.org/abs/2103.01946), section 3.2,
      against robust overfitting
    """

    def __init__(self, decay: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decay = float(WEIGHT_AVERAGING.check(decay))
        self._watched = _Watched([])
        self._averages: list[keras.Variable] = []
        self._in_use = False
        self._started = self.add_weight(
            shape=(),
            dtype="bool",
            initializer=lambda shape, dtype: np.zeros(shape, dtype),
            trainable=False,
            autocast=False,
            name="started",
        )
        self.built = True

    def watch(self, network: keras.Model) -> None:
        """Makes the averages of a network's weights.

        Args:
            network: A model that is built.
        """
        if self._averages:
            return
        self._watched = _Watched(_averaged_weights(network))
        self._averages = [
            self.add_weight(
                shape=weight.shape,
                dtype=weight.dtype,
                initializer="zeros",
                trainable=False,
                autocast=False,
                name=f"average_{index}",
            )
            for index, weight in enumerate(self._watched.variables)
        ]

    def start(self) -> None:
        """Begins with the weights of now, unless it has begun already."""
        if not np.asarray(self._started):
            self.restart()

    def restart(self) -> None:
        """Begins again with the weights of now."""
        for weight, average in self._pairs():
            average.assign(np.asarray(weight))
        self._started.assign(True)

    def update(self) -> None:
        """Takes the weights after a step into the average, on each replica."""
        for weight, average in self._pairs():
            change = (1.0 - self.decay) * (weight.value - average.value)
            average.assign(average.value + change)

    def average_of(self, weight: keras.Variable) -> keras.Variable | None:
        """Returns the average of a weight, `None` if it has none.

        Args:
            weight: A variable of the network.
        """
        for watched, average in self._pairs():
            if watched is weight:
                return average
        return None

    def take(self) -> None:
        """Gives the network the average for its weights."""
        if np.asarray(self._started):
            for weight, average in self._pairs():
                weight.assign(np.asarray(average))

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Lets the network have the average for its weights within a block."""
        if self._in_use:
            yield
            return
        weights = [np.array(each) for each in self._watched.variables]
        self._in_use = True
        try:
            self.take()
            yield
        finally:
            self._in_use = False
            for (weight, _), value in zip(self._pairs(), weights, strict=True):
                weight.assign(value)

    def _pairs(self) -> list[tuple[keras.Variable, keras.Variable]]:
        return list(zip(self._watched.variables, self._averages, strict=True))


def _averaged_weights(network: keras.Model) -> list[keras.Variable]:
    """Returns all float variables but scores, densities and masks."""
    of_masks = {
        id(variable)
        for layer in find_masked(network)
        for variable in layer.masked_kernel.variables
    }
    return [
        variable
        for variable in network.variables
        if id(variable) not in of_masks
        and keras.backend.is_float_dtype(variable.dtype)
    ]
