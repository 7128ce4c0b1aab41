"""The masked depthwise and separable convolutions."""

from __future__ import annotations

import keras

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


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedDepthwiseConv1D(MaskedLayer, keras.layers.DepthwiseConv1D):
    """Depthwise 1D convolution that keeps only its highest-scored weights.

    Takes the arguments of `keras.layers.DepthwiseConv1D`, and `density`,
    `scores_initializer` and `phase` as `MaskedDepthwiseConv2D` does.
    """

    plain_class = keras.layers.DepthwiseConv1D


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedSeparableConv1D(MaskedLayer, keras.layers.SeparableConv1D):
    """Separable 1D convolution that keeps only its highest-scored weights.

    Its depthwise and its pointwise kernel have scores and a density each.
    Takes the arguments of `keras.layers.SeparableConv1D`, and `density`,
    `scores_initializer` and `phase` as `MaskedDepthwiseConv2D` does.
    """

    plain_class = keras.layers.SeparableConv1D


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedSeparableConv2D(MaskedLayer, keras.layers.SeparableConv2D):
    """Separable 2D convolution that keeps only its highest-scored weights.

    Its depthwise and its pointwise kernel have scores and a density each.
    Takes the arguments of `keras.layers.SeparableConv2D`, and `density`,
    `scores_initializer` and `phase` as `MaskedDepthwiseConv2D` does.
    """

    plain_class = keras.layers.SeparableConv2D
