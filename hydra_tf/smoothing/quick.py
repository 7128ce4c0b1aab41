"""A cheap estimate of smoothed accuracy and radius, to watch training by."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from hydra_tf import inputs
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.losses import class_labels
from hydra_tf.registry.evaluation import SIGMA
from hydra_tf.registry.settings import Count
from hydra_tf.smoothing.sampling import NoisySampler
from hydra_tf.smoothing.sampling import as_images

# Mean probabilities nearer to one than this are rounding (float32); the radius
# would be infinite.
_LARGEST_PROBABILITY = 1.0 - 2.0**-24

_NUM_DRAWS, _BATCH_SIZE, _EVERY = (
    Count(name=name, help="", default=1, lower=1)
    for name in ("num_draws", "batch_size", "every")
)
_TEMPERATURE = dataclasses.replace(SIGMA, name="temperature")


@dataclasses.dataclass(frozen=True, eq=False)
class QuickCertification:
    """What `quick_certify` returns, one entry per image.

    Attributes:
        predictions: Int64 array, the classes of the largest mean probability.
        radii: Float64 array, estimated L2 radii; negative where the largest
            mean is below one half. They prove nothing.
        probabilities: Float32 array of shape `(images, classes)`, means over
            the draws.
    """

    predictions: np.ndarray
    radii: np.ndarray
    probabilities: np.ndarray


def quick_certify(
    model: Model,
    x: Any,
    sigma: float,
    *,
    num_draws: int = 10,
    temperature: float = 1.0,
    batch_size: int = 256,
    seed: int = 0,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> QuickCertification:
    """Estimates predictions and radii from a few draws of noise.

    The mean of `softmax(temperature * logits)` over the draws stands for the
    probabilities that `certify` bounds; the radius is `sigma * Phi^-1` of the
    largest. A high temperature makes each draw a vote for one class.

    Args:
        model: Keras model, loaded SavedModel, or any callable from images to
            logits that TensorFlow can trace.
        x: Float images within `clip`, shape `(images, ...)`.
        sigma: Float > 0, standard deviation of the noise.
        num_draws: Integer >= 1, draws per image.
        temperature: Float > 0, multiplies the logits.
        batch_size: Integer >= 1, noisy images per forward pass.
        seed: Integer >= 0, of the noise.
        clip: Least and largest value of a pixel, which `x` is checked against,
            or `None` for no limits.

    Returns:
        A `QuickCertification`.

    Raises:
        InputError: If an argument is out of its range, or the network ends in
            a softmax.
    """
    x = as_images(x, model, clip)
    sampler = _softmax_sampler(
        model, x, sigma, num_draws, temperature, batch_size, seed
    )
    return _estimate(sampler, x, sigma)


class SmoothedAccuracy(keras.callbacks.Callback):
    """Logs a quick estimate of the smoothed classifier's quality.

    At the end of an epoch `quick_certify` adds to the logs `smoothed_accuracy`,
    and `mean_radius`: the mean estimated L2 radius, which counts as 0 where the
    prediction is wrong or the radius negative. Every epoch sees the same noise.
    Put it before callbacks that use its figures.

    Args:
        x: Float images within `clip`, shape `(images, ...)`.
        y: Their integer labels, shape `(images,)` or `(images, 1)`.
        sigma: Float > 0, standard deviation of the noise.
        num_draws: Integer >= 1, draws per image.
        temperature: Float > 0, multiplies the logits.
        batch_size: Integer >= 1, noisy images per forward pass.
        seed: Integer >= 0, of the noise.
        every: Integer >= 1, epochs from one estimate to the next.
        clip: As for `quick_certify`.

    Example:
    ```python
    watch = ht.smoothing.SmoothedAccuracy(x_test[:500], y_test[:500], 0.25)
    robust.fit(x_train, y_train, epochs=20, callbacks=[watch])
    ```
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        sigma: float,
        *,
        num_draws: int = 10,
        temperature: float = 1.0,
        batch_size: int = 256,
        seed: int = 0,
        every: int = 1,
        clip: tuple[float, float] | None = (0.0, 1.0),
    ):
        super().__init__()
        _check_settings(sigma, num_draws, temperature, batch_size)
        _EVERY.check(every)
        self._x = as_images(x, clip=clip)
        y = inputs.as_array(y)
        inputs.check_labels(y, num_images=len(self._x))
        self._y = class_labels(y).numpy()
        self._sigma = sigma
        self._settings = (num_draws, temperature, batch_size, seed)
        self._every = every
        self._sampler: NoisySampler | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Phases of masked layers are fixed while a model trains, so one
        # tf.function serves all epochs.
        self._sampler = _softmax_sampler(
            self.model, self._x, self._sigma, *self._settings
        )

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if logs is None or self._sampler is None or (epoch + 1) % self._every:
            return
        quick = _estimate(self._sampler, self._x, self._sigma)
        right = quick.predictions == self._y
        logs["smoothed_accuracy"] = float(np.mean(right))
        logs["mean_radius"] = float(
            np.mean(right * np.maximum(quick.radii, 0.0))
        )


def _softmax_sampler(
    model: Model,
    x: np.ndarray,
    sigma: float,
    num_draws: int,
    temperature: float,
    batch_size: int,
    seed: int,
) -> NoisySampler:
    _check_settings(sigma, num_draws, temperature, batch_size)
    return NoisySampler(
        model,
        lambda logits: tf.nn.softmax(float(temperature) * logits),
        tf.float32,
        image_shape=x.shape[1:],
        sigma=sigma,
        draws=num_draws,
        batch_size=batch_size,
        seed=seed,
    )


def _check_settings(
    sigma: float, num_draws: int, temperature: float, batch_size: int
) -> None:
    SIGMA.check(sigma)
    _NUM_DRAWS.check(num_draws)
    _TEMPERATURE.check(temperature)
    _BATCH_SIZE.check(batch_size)


def _estimate(
    sampler: NoisySampler, x: np.ndarray, sigma: float
) -> QuickCertification:
    means = np.stack(
        [draws.mean(axis=0, dtype=np.float64) for draws in sampler.each(x)]
    )
    largest = np.minimum(means.max(axis=-1), _LARGEST_PROBABILITY)
    return QuickCertification(
        predictions=means.argmax(axis=-1),
        radii=sigma * special.ndtri(largest),
        probabilities=means.astype(np.float32),
    )
