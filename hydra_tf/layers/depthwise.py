"""The masked depthwise convolution."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hydra_tf.layers.kernel_axes import KernelAxes
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

    @classmethod
    def kernel_axes(cls, shape: Any) -> KernelAxes:
        return KernelAxes(tuple(shape), inputs=(-2,), outputs=(-2, -1))

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
