"""Batch normalisation in one kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="hydra_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` by TensorFlow's fused kernel.

    Keras casts half-precision inputs to float32 and takes a pass over memory
    for each of their sums and products: with bfloat16 on a CPU 40 % of the time
    of a ResNet's training step. The fused kernel computes the same in float32
    inside, running statistics included.

    Inputs are `(batch, height, width, channels)`; anything else, and what the
    kernel does not have (a mask, renormalisation, statistics of all replicas),
    is computed as Keras does.
    """

    # What bounds and channels go by.
    plain_class = keras.layers.BatchNormalization

    def call(
        self, inputs: Any, training: bool = False, mask: Any = None
    ) -> Any:
        """Returns normalised inputs, as Keras's layer."""
        if not self._has_kernel(inputs, mask):
            return super().call(inputs, training=training, mask=mask)
        ones = tf.ones(inputs.shape[-1:])
        scale = ops.cast(self.gamma, "float32") if self.scale else ones
        offset = ops.cast(self.beta, "float32") if self.center else 0 * ones
        if not (training and self.trainable):
            return _normalized(
                inputs,
                scale,
                offset,
                ops.cast(self.moving_mean, "float32"),
                ops.cast(self.moving_variance, "float32"),
                self.epsilon,
            )
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # The kernel's is of a sample, Keras's of the batch itself.
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], "float32")
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (count - 1) / count)
        return outputs

    def _has_kernel(self, inputs: Any, mask: Any) -> bool:
        return (
            mask is None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            # Keras 3.12, the last for Python 3.10, has no renormalisation.
            and not (getattr(self, "renorm", False) or self.synchronized)
            and inputs.dtype in (tf.bfloat16, tf.float16, tf.float32)
        )

    def _move(self, average: keras.Variable, value: tf.Tensor) -> None:
        average.assign(average * self.momentum + value * (1.0 - self.momentum))


def _normalized(
    inputs: tf.Tensor,
    scale: tf.Tensor,
    offset: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    epsilon: float,
) -> tf.Tensor:
    """Returns inputs that are normalised by given statistics.

    Attacks go this way. TensorFlow's gradient computes those of scale and
    offset with that of the inputs, and is not deterministic on GPUs.
    """

    def kernel(
        x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor
    ) -> tf.Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=epsilon,
            is_training=False,
        )[0]

    @tf.custom_gradient
    def normalized(
        x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            zeros, ones = tf.zeros_like(mean), tf.ones_like(mean)
            wide = tf.cast(upstream, "float32")
            unscaled = kernel(tf.cast(x, "float32"), ones, zeros, mean)
            return (
                kernel(upstream, scale, zeros, zeros),
                tf.reduce_sum(wide * unscaled, [0, 1, 2]),
                tf.reduce_sum(wide, [0, 1, 2]),
            )

        return kernel(x, scale, offset, mean), gradient

    return normalized(inputs, scale, offset)
