"""Attacks of training that start where those on the last batch ended."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.ops.global_batch import part_of
from hydra_tf.registry.settings import Count
from hydra_tf.training.attack_settings import check_warm_start
from hydra_tf.training.batch import Batch

# What attacks start from where there is no batch before: the noise of TRADES,
# as the gradient of a divergence is zero at the images themselves.
_FIRST_DEVIATION = 0.001

_BATCH_SIZE = Count(name="warm_start", help="", lower=1)


@keras.saving.register_keras_serializable(package="hydra_tf")
class WarmStart(keras.Layer):
    """The perturbations of the last batch, from which the next attack starts.

    A guard against catastrophic overfitting to attacks of one or two steps.
    Image i of a batch starts from the perturbation of image i of the batch
    before, whatever that shows: no image has to be recognised, so that they may
    be augmented, streamed and shuffled.

    A layer, so that what it knows is saved with the model that trains. On
    several replicas it holds the perturbations of the global batch: training
    is that of one device.

    Args:
        batch_size: Integer >= 1, images of the global batch. Larger batches
            start from the same perturbations again.
        image_shape: Shape of an image.
        seed: Integer, of the noise that the first batch starts from.
        **kwargs: Passed to `keras.Layer`.

    Reference:

    - [Jia et al., 2022](https://arxiv.org/abs/2207.08859), prior from the
      previous batch
    """

    def __init__(
        self,
        batch_size: int,
        image_shape: tuple[int, ...],
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.perturbations = self.add_weight(
            shape=(batch_size, *image_shape),
            dtype="float32",
            initializer=keras.initializers.RandomNormal(
                stddev=_FIRST_DEVIATION, seed=seed
            ),
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
            name="perturbations",
        )
        self.built = True

    @classmethod
    def of(cls, model: Any) -> WarmStart | None:
        """Returns the warm start that a training asks for, `None` for none.

        Args:
            model: A `hydra_tf.RobustModel`.

        Raises:
            InputError: If the attack has no start, or the network no fixed
                size of images.
        """
        if model.warm_start is None:
            return None
        _BATCH_SIZE.check(model.warm_start)
        check_warm_start(model.objective)
        shape = model.network_inputs.image_shape
        if shape is None or None in shape:
            raise InputError(
                "`warm_start` needs a network for images of one size. "
                f"Received: `network` '{model.network.name}' for {shape}"
            )
        return cls(model.warm_start, shape, model.seed)  # type: ignore[arg-type]

    def starts(
        self, x: tf.Tensor, clip: tuple[float, float] | None
    ) -> tf.Tensor:
        """Returns where the attacks on images begin.

        Args:
            x: Images of a replica.
            clip: Least and largest value of a pixel, or `None`.
        """
        x = tf.cast(x, tf.float32)
        rows = tf.shape(x)[0]
        rows = (part_of(rows).first + tf.range(rows)) % self._size
        start = x + tf.gather(self.perturbations.value, rows)
        return start if clip is None else tf.clip_by_value(start, *clip)

    def keep(self, batch: Batch, perturbed: tf.Tensor) -> None:
        """Takes note of what the attacks on a batch found.

        Args:
            batch: The images.
            perturbed: Their images under attack.
        """
        moved = tf.cast(perturbed, tf.float32) - tf.cast(batch.x, tf.float32)
        moved = moved[: batch.rows]
        replica = tf.distribute.get_replica_context()
        if replica.num_replicas_in_sync > 1:
            moved = replica.all_gather(moved, axis=0)
        # A batch may be smaller than others: an epoch's last one.
        rest = self.perturbations.value[tf.shape(moved)[0] :]
        self.perturbations.assign(
            tf.concat([moved[: self._size], rest], axis=0)
        )

    @property
    def _size(self) -> int:
        return self.perturbations.shape[0]
