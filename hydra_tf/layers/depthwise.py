"""The masked depthwise convolution."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from hydra_tf.layers.channels import Channels
from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedDepthwiseConv2D(MaskedLayer, keras.layers.DepthwiseConv2D):
    """Depthwise 2D convolution that keeps only its highest-scored weights.

    Args:
        kernel_size: Integer or pair, height and width of the window.
        density: Float in (0, 1], fraction of kernel entries kept. Defaults to
            `1.0`.
        scores_initializer: `"scaled"` (from the kernel) or a Keras
            initializer.
        phase: `None`, `"pretrain"`, `"prune"` or `"finetune"`; see
            `hydra_tf.layers.MaskedLayer`.
        **kwargs: The other arguments of `keras.layers.DepthwiseConv2D`.

    Call arguments:
        inputs: Float tensor of shape `(batch_size, height, width, channels)`
            (or with the channels first, by `data_format`).

    Output shape:
        `(batch_size, new_height, new_width, channels * depth_multiplier)`.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509)
    """

    plain_class = keras.layers.DepthwiseConv2D

    @property
    def fan_in(self) -> int:
        # The kernel is (height, width, channels, multiplier); an output reads
        # one channel.
        return int(np.prod(self.kernel.shape[:2]))

    # Each channel is read and computed by the same weights: in a network, they
    # follow the mask of the layers that read what comes out.

    def _owns_inputs(self) -> bool:
        return self._is_connected or super()._owns_inputs()

    def _other_channels(self) -> Channels | None:
        return None

    def _num_outputs(self) -> int:
        return int(np.prod(self.kernel.shape[-2:]))

    def _along_outputs(self, vector: tf.Tensor) -> tf.Tensor:
        return tf.reshape(vector, self.kernel.shape[-2:])

    def _sum_over_channels(self, values: np.ndarray) -> np.ndarray:
        sums = values.sum(axis=(0, 1))
        return sums.sum(axis=1) if self._owns_inputs() else sums.reshape(-1)

    def _acting_mask(self) -> tf.Tensor | None:
        return None if self._is_connected else super()._acting_mask()

    def call(self, inputs):
        outputs = ops.depthwise_conv(
            inputs,
            self.kernel_for_call(),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self._add_bias_and_activate(outputs)
