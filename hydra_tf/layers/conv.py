"""The masked convolutions in one, two and three dimensions."""

from __future__ import annotations

import keras

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


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedConv3D(MaskedLayer, keras.layers.Conv3D):
    """3D convolution that keeps only its highest-scored weights.

    Takes the arguments of `keras.layers.Conv3D`, and `density`,
    `scores_initializer` and `phase` as `hydra_tf.layers.MaskedConv2D` does.
    """

    plain_class = keras.layers.Conv3D
