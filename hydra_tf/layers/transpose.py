"""The masked transposed convolution."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hydra_tf.layers.kernel_axes import KernelAxes
from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedConv2DTranspose(MaskedLayer, keras.layers.Conv2DTranspose):
    """Transposed 2D convolution that keeps only its highest-scored weights.

    Args:
        filters: Positive integer, number of output channels.
        kernel_size: Integer or pair, height and width of the window.
        density: Float in (0, 1], fraction of kernel entries kept. Defaults to
            `1.0`.
        scores_initializer: `"scaled"` (from the kernel) or a Keras
            initializer.
        phase: `None`, `"pretrain"`, `"prune"` or `"finetune"`; see
            `hydra_tf.layers.MaskedLayer`.
        **kwargs: The other arguments of `keras.layers.Conv2DTranspose`.

    Call arguments:
        inputs: Float tensor of shape `(batch_size, height, width, channels)`
            (or with the channels first, by `data_format`).

    Output shape:
        `(batch_size, new_height, new_width, filters)`.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509)
    """

    plain_class = keras.layers.Conv2DTranspose

    @classmethod
    def kernel_axes(cls, shape: Any) -> KernelAxes:
        # (height, width, filters, channels)
        return KernelAxes(tuple(shape), inputs=(-1,), outputs=(-2,))

    def call(self, inputs):
        outputs = ops.conv_transpose(
            inputs,
            self.kernel_for_call(),
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self._add_bias_and_activate(outputs)
