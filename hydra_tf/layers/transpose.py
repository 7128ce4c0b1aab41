"""The masked transposed convolutions."""

from __future__ import annotations

import keras

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


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedConv1DTranspose(MaskedLayer, keras.layers.Conv1DTranspose):
    """Transposed 1D convolution that keeps only its highest-scored weights.

    Takes the arguments of `keras.layers.Conv1DTranspose`, and `density`,
    `scores_initializer` and `phase` as `MaskedConv2DTranspose` does.
    """

    plain_class = keras.layers.Conv1DTranspose


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedConv3DTranspose(MaskedLayer, keras.layers.Conv3DTranspose):
    """Transposed 3D convolution that keeps only its highest-scored weights.

    Takes the arguments of `keras.layers.Conv3DTranspose`, and `density`,
    `scores_initializer` and `phase` as `MaskedConv2DTranspose` does.
    """

    plain_class = keras.layers.Conv3DTranspose
