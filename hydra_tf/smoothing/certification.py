"""Predictions and certified radii of a classifier smoothed by noise.

The smoothed classifier answers with the class that a network gives most often
under Gaussian noise. Its probabilities can only be sampled, so each answer
holds with probability `1 - alpha`, or is an abstention.

Reference:

- [Cohen et al., 2019](https://arxiv.org/abs/1902.02918)
"""

from __future__ import annotations

import dataclasses
import os
import time
import typing
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.noise import as_seed
from hydra_tf.errors import InputError
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.evaluation import CERTIFICATION
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Setting
from hydra_tf.resumable import ResumableTable
from hydra_tf.resumable import digest
from hydra_tf.smoothing.sampling import NoisySampler
from hydra_tf.smoothing.sampling import as_images
from hydra_tf.smoothing.statistics import ABSTAIN
from hydra_tf.smoothing.statistics import binomial_p_value
from hydra_tf.smoothing.statistics import certified_radius
from hydra_tf.smoothing.statistics import lower_confidence_bound

_SETTINGS: dict[str, Setting] = {
    **{setting.name: setting for setting in CERTIFICATION},
    "batch_size": Count(name="batch_size", help="", default=256, lower=1),
    "first_index": Count(name="first_index", help="", default=0),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """What `predict` returns, one entry per image.

    Attributes:
        predictions: Int64 array, the classes; -1 where it abstains.
        p_values: Float64 array, of the two most frequent classes being equally
            likely. Above `alpha` it abstains.
        counts: Int64 array of shape `(images, 2)`, draws of the most frequent
            class and of the second.
    """

    predictions: np.ndarray
    p_values: np.ndarray
    counts: np.ndarray


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is proved about one image.

    Attributes:
        index: Its index.
        prediction: Class of the smoothed classifier, -1 if it abstains.
        radius: L2 radius within which the prediction is constant, 0.0 if it
            abstains.
        selected_class: Most frequent class of the first `n0` draws.
        count: Draws that gave `selected_class`, of the following `n`.
        lower_bound: Lower bound on the probability of that class. Below one
            half the classifier abstains.
        seconds: Time spent, from the image before to this one.
    """

    index: int
    prediction: int
    radius: float
    selected_class: int
    count: int
    lower_bound: float
    seconds: float

    @classmethod
    def columns(cls) -> dict[str, type]:
        """Returns the types of the attributes by name."""
        return typing.get_type_hints(cls)


@dataclasses.dataclass(frozen=True, eq=False)
class Certification:
    """What `certify` returns, arrays with one entry per image.

    Attributes:
        indices: Int64 array, the images' indices.
        predictions: Int64 array, the classes; -1 where it abstains.
        radii: Float64 array, L2 radii; 0 where it abstains.
        selected_classes: Int64 array, most frequent class of the `n0` draws.
        counts: Int64 array, draws that gave that class, of `n`.
        lower_bounds: Float64 array, lower bounds on its probability.
        seconds: Float64 array, time spent.
    """

    indices: np.ndarray
    predictions: np.ndarray
    radii: np.ndarray
    selected_classes: np.ndarray
    counts: np.ndarray
    lower_bounds: np.ndarray
    seconds: np.ndarray

    @classmethod
    def collect(cls, certificates: Sequence[Certificate]) -> Certification:
        """Returns the attributes of single certificates as arrays."""
        # The attributes of both are in the same order.
        return cls(
            *(
                np.array([getattr(each, name) for each in certificates], dtype)
                for name, dtype in Certificate.columns().items()
            )
        )

    def certified_accuracy(self, labels: Any, radius: float = 0.0) -> float:
        """Returns the share of images predicted rightly, with that radius.

        Args:
            labels: Integer classes, shape `(images,)` or `(images, 1)`.
            radius: Float >= 0; the smallest radius that counts.
        """
        labels = np.asarray(labels).reshape(-1)
        if labels.shape != self.predictions.shape:
            raise InputError(
                f"`labels` must hold {len(self.predictions)} classes, one for "
                f"each image. Received: {len(labels)}"
            )
        right = (self.predictions == labels) & (self.radii >= radius)
        return float(np.mean(right))


@checked_call
def predict(
    model: Model,
    x: Any,
    sigma: float,
    n: int = 1_000,
    alpha: float = 0.001,
    *,
    batch_size: int = 256,
    seed: int = 0,
    first_index: int = 0,
    clip: tuple[float, float] | None = (0.0, 1.0),
    verbose: int = 0,
) -> Predictions:
    """Returns the classes that a network gives most often under noise.

    The answer for an image is not the class of the smoothed classifier with
    probability `alpha` at most; it abstains where `n` draws cannot tell the two
    most frequent classes apart.

    Args:
        model: Keras model, loaded SavedModel, or any callable from images to
            logits that TensorFlow can trace.
        x: Float images within `clip`, shape `(images, ...)`. Noisy images are
            not clipped.
        sigma: Float > 0, standard deviation of the noise.
        n: Integer >= 1, draws per image.
        alpha: Float in (0, 1), probability of a wrong answer.
        batch_size: Integer >= 1, noisy images per forward pass. Bounds the
            memory; changes no result.
        seed: Integer >= 0, of the noise.
        first_index: Integer >= 0, index of `x[0]` where `x` is part of a larger
            set: an image's noise depends on its index, not on the part.
        clip: Least and largest value of a pixel, which `x` is checked against,
            or `None` for no limits.
        verbose: 1 for a progress bar, as in Keras; 0 for silence.

    Returns:
        A `Predictions`.

    Raises:
        InputError: If an argument is out of its range, or the network ends in
            a softmax.

    Reference:

    - [Cohen et al., 2019](https://arxiv.org/abs/1902.02918), section 3.2.1
    """
    _check_settings(
        sigma=sigma,
        alpha=alpha,
        n=n,
        batch_size=batch_size,
        seed=seed,
        first_index=first_index,
    )
    x = as_images(x, model, clip)
    sampler = _class_sampler(model, x, sigma, n, batch_size, seed)
    progress = keras.utils.Progbar(len(x), verbose=verbose, unit_name="image")
    counts: np.ndarray = np.zeros((len(x), 2), np.int64)
    winners: np.ndarray = np.zeros(len(x), np.int64)
    for index, classes in enumerate(sampler.each(x, first_index)):
        votes = _votes(classes)
        winners[index] = np.argmax(votes)
        counts[index] = np.sort(votes)[:-3:-1]
        progress.update(index + 1)
    p_values = binomial_p_value(counts[:, 0], counts[:, 1])
    return Predictions(
        predictions=np.where(p_values > alpha, ABSTAIN, winners),
        p_values=p_values,
        counts=counts,
    )


@checked_call
def certify(
    model: Model,
    x: Any,
    sigma: float,
    n0: int = 100,
    n: int = 10_000,
    alpha: float = 0.001,
    *,
    batch_size: int = 256,
    seed: int = 0,
    first_index: int = 0,
    clip: tuple[float, float] | None = (0.0, 1.0),
    output: str | os.PathLike | None = None,
    verbose: int = 0,
) -> Certification:
    """Proves L2 radii within which the smoothed classifier is constant.

    The most frequent class of `n0` draws is selected. Another `n` draws give a
    lower bound on its probability. From one half on the class is predicted, and
    no perturbation of the image with an L2 norm below
    `sigma * Phi^-1(lower bound)` changes that; below, the classifier abstains.
    For each image this fails with probability `alpha` at most.

    A draw whose logits hold a NaN counts for no class.

    Args:
        model: Keras model, loaded SavedModel, or any callable from images to
            logits that TensorFlow can trace.
        x: Float images within `clip`, shape `(images, ...)`. Noisy images are
            not clipped.
        sigma: Float > 0, standard deviation of the noise. Best the one that
            the network was trained with.
        n0: Integer >= 1, draws per image that select a class.
        n: Integer >= 1, draws per image that bound its probability.
        alpha: Float in (0, 1), probability of a wrong certificate.
        batch_size: Integer >= 1, noisy images per forward pass. Bounds the
            memory; changes no result.
        seed: Integer >= 0, of the noise.
        first_index: Integer >= 0, index of `x[0]` where `x` is part of a larger
            set: an image's noise depends on its index, not on the part.
        clip: Least and largest value of a pixel, which `x` is checked against,
            or `None` for no limits.
        output: Path of a table that gets a line for each image as soon as it
            is certified. A call that was stopped is resumed by one with the
            same table, settings, images and network.
        verbose: 1 for a progress bar, as in Keras; 0 for silence.

    Returns:
        A `Certification` of all of `x`.

    Raises:
        InputError: If an argument is out of its range, the network ends in a
            softmax, or `output` was written with other settings.

    Example:
    ```python
    certified = ht.smoothing.certify(
        model, images, sigma=0.25, output="run/smoothing.tsv", verbose=1
    )
    certified.certified_accuracy(labels, radius=0.5)
    ```

    Reference:

    - [Cohen et al., 2019](https://arxiv.org/abs/1902.02918), section 3.2.2
    """
    x = as_images(x, model, clip)
    _check_settings(
        sigma=sigma,
        alpha=alpha,
        n0=n0,
        n=n,
        batch_size=batch_size,
        seed=seed,
        first_index=first_index,
    )
    done: list[Certificate] = []
    table = None
    if output is not None:
        settings = {
            "sigma": float(sigma),
            "n0": int(n0),
            "n": int(n),
            "alpha": float(alpha),
            "seed": int(seed),
            "first_index": int(first_index),
            "images": digest(x),
        }
        table = ResumableTable(output, Certificate.columns(), settings)
        done = [Certificate(**row) for row in table.read()]
    progress = keras.utils.Progbar(len(x), verbose=verbose, unit_name="image")
    progress.update(len(done))
    if len(done) < len(x):
        for certificate in certify_each(
            model,
            x[len(done) :],
            sigma,
            n0,
            n,
            alpha,
            batch_size=batch_size,
            seed=seed,
            first_index=first_index + len(done),
            clip=clip,
        ):
            if table is not None:
                table.append(dataclasses.asdict(certificate))
            done.append(certificate)
            progress.update(len(done))
    return Certification.collect(done)


def certify_each(
    model: Model,
    x: Any,
    sigma: float,
    n0: int = 100,
    n: int = 10_000,
    alpha: float = 0.001,
    *,
    batch_size: int = 256,
    seed: int = 0,
    first_index: int = 0,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> Iterator[Certificate]:
    """Yields what `certify` proves, image by image.

    Takes the arguments of `certify`, checks them at once, and yields each
    image's `Certificate` as soon as its draws are complete.
    """
    _check_settings(
        sigma=sigma,
        alpha=alpha,
        n0=n0,
        n=n,
        batch_size=batch_size,
        seed=seed,
        first_index=first_index,
    )
    x = as_images(x, model, clip)
    sampler = _class_sampler(model, x, sigma, n0 + n, batch_size, seed)
    answers = sampler.each(x, first_index)

    def certificates() -> Iterator[Certificate]:
        start = time.perf_counter()
        for index, classes in enumerate(answers, first_index):
            selected = int(np.argmax(_votes(classes[:n0])))
            count = int(np.count_nonzero(classes[n0:] == selected))
            bound = float(lower_confidence_bound(count, n, alpha))
            yield Certificate(
                index=index,
                prediction=ABSTAIN if bound < 0.5 else selected,
                radius=float(certified_radius(bound, sigma)),
                selected_class=selected,
                count=count,
                lower_bound=bound,
                seconds=time.perf_counter() - start,
            )
            # What the caller does between images does not count.
            start = time.perf_counter()

    return certificates()


def _check_settings(*, seed: Any, **settings: Any) -> None:
    for name, value in settings.items():
        _SETTINGS[name].check(value)
    if as_seed(seed) is None:
        raise InputError("`seed` must be an integer. Received: seed=None")


def _class_sampler(
    model: Model,
    x: np.ndarray,
    sigma: float,
    draws: int,
    batch_size: int,
    seed: int,
) -> NoisySampler:
    return NoisySampler(
        model,
        _predicted_class,
        tf.int32,
        image_shape=x.shape[1:],
        sigma=sigma,
        draws=draws,
        batch_size=batch_size,
        seed=seed,
    )


def _predicted_class(logits: tf.Tensor) -> tf.Tensor:
    """Returns the class of each row, -1 for a row that holds a NaN."""
    return tf.where(
        tf.reduce_any(tf.math.is_nan(logits), axis=-1),
        ABSTAIN,
        tf.argmax(logits, axis=-1, output_type=tf.int32),
    )


def _votes(classes: np.ndarray) -> np.ndarray:
    """Returns how often each class occurs, those of two classes at least."""
    return np.bincount(classes[classes >= 0], minlength=2)
