"""What is left of accuracy and robustness in a file that is deployed.

Quantisation and conversion change a network. A converted file has no gradients:
it is attacked with the adversarial examples of the network that it came from,
and by Square, which needs none.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.attacks.logits import predictions
from hydra_tf.attacks.pgd import pgd
from hydra_tf.attacks.square import square
from hydra_tf.errors import InputError
from hydra_tf.evaluation.network import as_exported
from hydra_tf.evaluation.network import checked_data
from hydra_tf.registry.attacks import EPSILON

# Calls whose times are taken, after some that are not.
_CALLS = 50
_WARM_UP = 5
# A slow file is timed for about so many seconds.
_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Latency:
    """The time of a call, in milliseconds.

    Attributes:
        batch_size: Images of the call.
        median: Of all calls.
        p95: What 95 % of the calls stay below.
    """

    batch_size: int
    median: float
    p95: float


@dataclasses.dataclass(frozen=True)
class ArtifactFigures:
    """What was measured of an artifact; accuracies are in [0, 1].

    Attributes:
        natural_accuracy: On clean images.
        transferred_accuracy: On the adversarial examples of the network that
            it came from.
        square_accuracy: Under Square, directly.
        agreement: Share of the clean images that it puts in the class that
            the network it came from does.
        latencies: The time of a call, by batch size.
        num_examples: Number of images.
    """

    natural_accuracy: float
    transferred_accuracy: float
    square_accuracy: float
    agreement: float
    latencies: tuple[Latency, ...]
    num_examples: int

    def to_dict(self) -> dict[str, Any]:
        """Returns the attributes by name."""
        return dataclasses.asdict(self)


class ArtifactEvaluation:
    """Measures files that were made of one network, all in the same way.

    Args:
        network: The Keras model in floats, masked or not.
        images: Test images in [0, 1], shape `(images, ...)`.
        labels: Their classes.
        epsilon: Linf radius of the attacks, in [0, 1].
        num_steps: Steps of PGD (margin loss, step of `epsilon / 4`) on the
            network.
        num_restarts: Its restarts.
        num_queries: Queries of Square for an image.
        batch_size: Images per call, also of the larger latency.
        seed: Of the attacks.

    Raises:
        InputError: If an argument cannot be used.

    Example:
    ```python
    evaluation = ht.evaluation.ArtifactEvaluation(
        network, images, labels, epsilon=8 / 255
    )
    figures = evaluation.measure(ht.export.litert_function("int8.tflite"))
    print(figures.transferred_accuracy)
    ```
    """

    def __init__(
        self,
        network: Any,
        images: Any,
        labels: Any,
        *,
        epsilon: float,
        num_steps: int = 50,
        num_restarts: int = 1,
        num_queries: int = 1000,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        EPSILON.check(epsilon)
        self._images, self._labels = checked_data(images, labels, network)
        if not len(self._labels):
            raise InputError("`images` must hold one image or more")
        self._epsilon, self._num_queries = epsilon, num_queries
        self._batch_size, self._seed = batch_size, seed
        network = as_exported(network)
        self._classes = predictions(network, self._images, batch_size)
        self._adversarial = self._by_batches(
            lambda images, labels, indices: pgd(
                network,
                images,
                labels,
                epsilon=epsilon,
                step_size=epsilon / 4,
                num_steps=num_steps,
                num_restarts=num_restarts,
                loss="margin",
                seed=seed,
                indices=indices,
            ),
            np.arange(len(self._labels)),
        )

    def measure(
        self, function: Callable[[np.ndarray], Any], *, timed: bool = True
    ) -> ArtifactFigures:
        """Measures an artifact.

        Args:
            function: From a NumPy batch of images to logits, such as
                `ht.export.litert_function(path)`.
            timed: Whether calls are timed.
        """
        natural = self._predict(function, self._images)
        transferred = self._predict(function, self._adversarial)
        right = natural == self._labels
        return ArtifactFigures(
            natural_accuracy=float(np.mean(right)),
            transferred_accuracy=float(np.mean(transferred == self._labels)),
            square_accuracy=float(np.mean(self._withstood(function, right))),
            agreement=float(np.mean(natural == self._classes)),
            latencies=tuple(
                latency(function, self._images[:size])
                for size in sorted({1, min(self._batch_size, len(right))})
            )
            if timed
            else (),
            num_examples=len(right),
        )

    def _predict(self, function: Callable, images: np.ndarray) -> np.ndarray:
        """Returns the classes that an artifact puts images in."""
        size = self._batch_size
        logits = [
            np.asarray(function(images[first : first + size]))
            for first in range(0, len(images), size)
        ]
        return np.argmax(np.concatenate(logits), axis=1)

    def _withstood(self, function: Callable, right: np.ndarray) -> np.ndarray:
        """Returns which images are right under Square, too."""
        num_classes = int(np.asarray(function(self._images[:1])).shape[1])

        def network(images: tf.Tensor) -> tf.Tensor:
            logits = tf.numpy_function(
                lambda batch: np.asarray(function(batch), np.float32),
                [images],
                tf.float32,
            )
            return tf.ensure_shape(logits, (None, num_classes))

        rows = np.flatnonzero(right)
        withstood: np.ndarray = np.zeros(len(right), bool)
        if rows.size:
            adversarial = self._by_batches(
                lambda images, labels, indices: square(
                    network,
                    images,
                    labels,
                    epsilon=self._epsilon,
                    num_queries=self._num_queries,
                    seed=self._seed,
                    indices=indices,
                ),
                rows,
            )
            found = self._predict(function, adversarial)
            withstood[rows] = found == self._labels[rows]
        return withstood

    def _by_batches(self, attack: Callable, rows: np.ndarray) -> np.ndarray:
        """Returns the adversarial examples of some images."""
        attack = tf.function(attack)
        return np.concatenate(
            [
                attack(
                    tf.constant(self._images[part]),
                    tf.constant(self._labels[part]),
                    tf.constant(part),
                ).numpy()
                for part in np.split(
                    rows, range(self._batch_size, len(rows), self._batch_size)
                )
            ]
        )


def latency(function: Callable[[np.ndarray], Any], images: Any) -> Latency:
    """Returns how long a call takes.

    Args:
        function: From a batch of images to logits.
        images: The batch.
    """
    for _ in range(_WARM_UP):
        started = time.perf_counter()
        function(images)
        last = time.perf_counter() - started
    calls = int(np.clip(_SECONDS / max(last, 1e-9), 5, _CALLS))
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        function(images)
        seconds.append(time.perf_counter() - started)
    return Latency(
        batch_size=len(images),
        median=1000 * float(np.median(seconds)),
        p95=1000 * float(np.percentile(seconds, 95)),
    )
