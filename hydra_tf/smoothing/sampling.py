"""Images under Gaussian noise, sent through a network in full batches.

The draws of all images form one sequence, cut into batches wherever that may
fall: images share batches when there are few draws of each, and an image
spans batches when there are many. What an image's draws give depends on the
seed and the image's index alone, not on where batches begin.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import call_model
from hydra_tf.attacks.logits import check_ends_in_logits
from hydra_tf.attacks.noise import Seed
from hydra_tf.errors import InputError
from hydra_tf.layers import reuse_effective_kernels
from hydra_tf.ops.loops import map_in_order
from hydra_tf.registry.objectives import CLIP
from hydra_tf.smoothing.gaussian import GaussianStream

# One call into TensorFlow runs this many batches, one after the other: masks
# are computed once per call, and Python waits for results once per call.
BATCHES_PER_CALL = 8


class NoisySampler:
    """Sends each image through a network under many draws of Gaussian noise.

    The network runs in inference mode inside a `tf.function`. Memory is that
    of one forward pass of `batch_size` images, whatever the number of draws
    and of images.

    Args:
        model: Keras model, loaded SavedModel, or any callable from images to
            logits that TensorFlow can trace.
        answer: Function from float32 logits `(batch, classes)` to a tensor
            `(batch, ...)`; what is kept of each draw.
        dtype: Of what `answer` returns.
        image_shape: Shape of one image.
        sigma: Float > 0, standard deviation of the noise.
        draws: Integer >= 1, noisy copies of each image.
        batch_size: Integer >= 1, noisy images per forward pass.
        seed: Integer >= 0, of the noise.
    """

    def __init__(
        self,
        model: Model,
        answer: Callable[[tf.Tensor], tf.Tensor],
        dtype: tf.DType,
        *,
        image_shape: tuple[int, ...],
        sigma: float,
        draws: int,
        batch_size: int,
        seed: Seed,
    ):
        check_ends_in_logits(model, "`model`")
        # A SavedModel's variables live as long as the object it was loaded as.
        self._model = model
        self._network = _logits_only(model)
        self._answer = answer
        self._dtype = dtype
        self._draws = int(draws)
        self._batch_size = int(batch_size)
        self._noise = GaussianStream(seed, tuple(image_shape), float(sigma))
        # As in Keras' own loops, control flow on tensors is the model's affair.
        self._run_batches = tf.function(self._batches, autograph=False)

    def each(self, x: np.ndarray, first_index: int = 0) -> Iterator[np.ndarray]:
        """Yields the answers to all draws, image by image.

        Args:
            x: Float32 images, as `as_images` returns them.
            first_index: Integer >= 0, index of the first image; the noise of
                an image depends on it.

        Yields:
            For each image, an array of shape `(draws, ...)`.
        """
        draws = self._draws
        collected: list[np.ndarray] = []
        missing = draws
        for answers in self._answers(x, first_index):
            while len(answers):
                collected.append(answers[:missing])
                answers = answers[missing:]
                missing -= len(collected[-1])
                if not missing:
                    yield np.concatenate(collected)
                    collected, missing = [], draws

    def _answers(self, x: np.ndarray, first_index: int) -> Iterator[np.ndarray]:
        """Yields the answers to the draws of all images, several batches each.

        Rows count the draws of all of `x`.
        """
        draws, end = self._draws, len(x) * self._draws
        # All batches are equally long, the last one with rows to spare.
        batch_size = min(self._batch_size, end)
        rows_per_call = batch_size * BATCHES_PER_CALL
        num_images = -(-rows_per_call // draws) + 1
        for start in range(0, end, rows_per_call):
            stop = min(start + rows_per_call, end)
            first_image = start // draws
            images = np.arange(first_image, first_image + num_images)
            answers = self._run_batches(
                tf.constant(x[np.minimum(images, len(x) - 1)]),
                tf.constant(start - first_image * draws, tf.int64),
                tf.constant(first_index * draws + start, tf.int64),
                tf.constant(-(-(stop - start) // batch_size)),
                batch_size,
            )
            yield answers.numpy()[: stop - start]

    def _batches(
        self,
        images: tf.Tensor,
        row: tf.Tensor,
        noise_row: tf.Tensor,
        num_batches: tf.Tensor,
        batch_size: int,
    ) -> tf.Tensor:
        """Returns the answers to `num_batches * batch_size` draws in order.

        Args:
            images: The images that are drawn around.
            row: Int64 scalar, the first draw, counted from the first draw of
                `images[0]`.
            noise_row: Int64 scalar, its row in the stream of noise.
            num_batches: Int32 scalar.
            batch_size: Integer.
        """

        def batch(number: tf.Tensor) -> tuple[tf.Tensor]:
            skipped = tf.cast(number, tf.int64) * batch_size
            rows = row + skipped + tf.range(batch_size, dtype=tf.int64)
            clean = tf.gather(images, rows // self._draws)
            noise = self._noise.rows(noise_row + skipped, batch_size)
            return (self._answer(self._logits(clean + noise)),)

        with self._reused_kernels():
            # One batch after the other: memory is that of one.
            (answers,) = map_in_order(
                batch, tf.range(num_batches), (self._dtype,)
            )
        shape = tf.concat([[-1], tf.shape(answers)[2:]], axis=0)
        return tf.reshape(answers, shape)

    def _reused_kernels(self) -> contextlib.AbstractContextManager[None]:
        if isinstance(self._model, keras.Layer):
            return reuse_effective_kernels(self._model)
        return contextlib.nullcontext()

    def _logits(self, x: tf.Tensor) -> tf.Tensor:
        return call_model(self._network, x, training=False)


def _logits_only(model: Any) -> Model:
    """Returns `model`, or a function that calls a SavedModel for its logits."""
    if isinstance(model, keras.Layer):
        return model
    signature = getattr(model, "signatures", {}).get("serving_default", model)
    if not callable(signature):
        raise InputError(
            "`model` must be callable, or a SavedModel with the signature "
            f"'serving_default'. Received: {model!r}"
        )
    if not hasattr(signature, "structured_outputs"):
        return model

    def logits(x: tf.Tensor) -> tf.Tensor:
        outputs = signature(x)
        if not isinstance(outputs, Mapping):
            return outputs
        if len(outputs) > 1 and "logits" not in outputs:
            raise InputError(
                "`model` must return its logits alone, or under the name "
                f"'logits'. It returned: {', '.join(sorted(outputs))}"
            )
        return outputs.get("logits", next(iter(outputs.values())))

    return logits


def as_images(
    x: Any,
    model: Any = None,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> np.ndarray:
    """Returns images as a float32 array.

    Args:
        x: Images.
        model: The network, where its input's shape can be known.
        clip: Least and largest value of a pixel, or `None` for no limits.

    Raises:
        InputError: If there are none, they have no batch axis, or they are
            not floats within the limits.
    """
    CLIP.check(clip)
    x = inputs.as_array(x)
    shape = inputs.image_shape_of(model)
    inputs.check_images(x, clip=clip, shape=shape, takes_clip=True)
    return np.asarray(x).astype(np.float32, copy=False)
