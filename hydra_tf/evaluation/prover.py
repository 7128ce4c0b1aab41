"""Proofs by bounds: the images that no perturbation can turn."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import bounds
from hydra_tf import interrupts
from hydra_tf.attacks.logits import compiled
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.registry.bounds import BOUNDS

# Numbers that bounds on a batch may hold in one tensor, about: 128 MB. Methods
# with a pass for every neuron divide their work up to single images.
_MAX_NUMBERS = 2**25
_MAX_NUMBERS_OF_IMAGES = 2**15
_MAX_BATCH = 256


class BoundProver:
    """Tells on which images bounds prove a network right.

    GPUs compute at full precision meanwhile, which bounds count on.

    Args:
        network: Keras model from images to logits.
        method: One of `hydra_tf.bounds.METHODS`.
        batch_size: Images at a time; fewer where memory is short. By default
            as many as are sensible for the method.
        num_examples: Number of images to come, if it is known.
        dtype: `"float32"` or `"float64"`, in which bounds are computed.

    Raises:
        InputError: If a layer has no bounds.
    """

    def __init__(
        self,
        network: keras.Model,
        method: str,
        *,
        batch_size: int | None = None,
        num_examples: int | None = None,
        dtype: str = "float32",
    ):
        bounds.check_supported(network)
        batch_size = batch_size or _sensible_batch(network, method)
        self.batch_size = min(batch_size, num_examples or batch_size)
        self._dtype = dtype
        # Batches all have one shape, by which the bounds divide their work.
        self._certified = compiled(
            lambda x, y, epsilon: bounds.certified(
                network, x, y, epsilon, method
            )
        )

    def __call__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        epsilon: float,
    ) -> np.ndarray:
        """Returns which images are right under any change up to epsilon.

        Args:
            images: Images in [0, 1].
            labels: Their classes.
            epsilon: Linf radius.

        Returns:
            Bool array, one entry for each image.
        """
        parts = self.each(images, labels, epsilon)
        return np.concatenate([np.zeros(0, bool), *parts])

    def each(
        self, images: np.ndarray, labels: np.ndarray, epsilon: float
    ) -> Iterator[np.ndarray]:
        """Yields what a call returns, batch by batch."""
        count = len(labels)
        done = 0
        while done < count:
            interrupts.check()
            size = self.batch_size
            # Rows past the end repeat the last image.
            rows = np.minimum(np.arange(done, done + size), count - 1)
            try:
                with bounds.full_precision():
                    proved = self._certified(
                        tf.constant(images[rows], self._dtype),
                        tf.constant(labels[rows], tf.int32),
                        tf.constant(epsilon, self._dtype),
                    ).numpy()
            except (tf.errors.ResourceExhaustedError, MemoryError):
                if size == 1:
                    raise
                self.batch_size = size // 2
                continue
            yield proved[: count - done]
            done += size


def _sensible_batch(network: keras.Model, method: str) -> int:
    """Returns on how many images bounds are computed at a time."""
    widest = max(_sizes(network), default=1)
    passes_from = BOUNDS.entry(method).passes_from
    if passes_from == "neurons":
        return int(np.clip(_MAX_NUMBERS_OF_IMAGES // widest, 1, _MAX_BATCH))
    # Numbers for every place in a layer: two ends, or a row of coefficients
    # for every other class.
    rows = 2 if passes_from == "none" else 2 * int(network.output_shape[-1])
    return int(np.clip(_MAX_NUMBERS // (rows * widest), 1, _MAX_BATCH))


def _sizes(network: keras.Model) -> list[int]:
    """Returns how many numbers each layer makes of an image."""
    sizes = []
    for layer in flatten_layers(network, include_self=False):
        try:
            shape = layer.output.shape
        except (AttributeError, ValueError):
            continue
        sizes.append(int(np.prod([size or 1 for size in shape[1:]])))
    return sizes
