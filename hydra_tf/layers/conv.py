"""The masked convolutions in one and two dimensions."""

from __future__ import annotations

import keras
from keras import ops

from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedConv1D(MaskedLayer, keras.layers.Conv1D):
    """1D convolution that keeps only its highest-scored weights.

    Args:
        filters: Positive integer, number of output channels.
        kernel_size: Integer, length of the window.
        density: Float in (0, 1], fraction of kernel entries kept. Defaults to
            `1.0`.
        scores_initializer: `"scaled"` (from the kernel) or a Keras
            initializer.
        phase: `None`, `"pretrain"`, `"prune"` or `"finetune"`; see
            `hydra_tf.layers.MaskedLayer`.
        **kwargs: The other arguments of `keras.layers.Conv1D`, causal padding
            included.

    Call arguments:
        inputs: Float tensor of shape `(batch_size, steps, channels)`.

    Output shape:
        `(batch_size, new_steps, filters)`.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509)
    """

    plain_class = keras.layers.Conv1D

    def call(self, inputs):
        padding = self.padding
        if padding == "causal":
            before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
            widths = [[0, 0], [0, 0], [0, 0]]
            axis = 1 if self.data_format == "channels_last" else 2
            widths[axis] = [before, 0]
            inputs = ops.pad(inputs, widths)
            padding = "valid"
        outputs = ops.conv(
            inputs,
            self.kernel_for_call(),
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self._add_bias_and_activate(outputs)


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedConv2D(MaskedLayer, keras.layers.Conv2D):
    """2D convolution that keeps only its highest-scored weights.

    Args:
        filters: Positive integer, number of output channels.
        kernel_size: Integer or pair, height and width of the window.
        density: Float in (0, 1], fraction of kernel entries kept. Defaults to
            `1.0`.
        scores_initializer: `"scaled"` (from the kernel) or a Keras
            initializer.
        phase: `None`, `"pretrain"`, `"prune"` or `"finetune"`; see
            `hydra_tf.layers.MaskedLayer`.
        **kwargs: The other arguments of `keras.layers.Conv2D`, groups and
            dilation included.

    Call arguments:
        inputs: Float tensor of shape `(batch_size, height, width, channels)`
            (or with the channels first, by `data_format`).

    Output shape:
        `(batch_size, new_height, new_width, filters)`.

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509)
    """

    plain_class = keras.layers.Conv2D

    def call(self, inputs):
        outputs = self.convolution_op(inputs, self.kernel_for_call())
        return self._add_bias_and_activate(outputs)
