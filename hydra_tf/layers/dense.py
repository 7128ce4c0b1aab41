"""The masked dense layer."""

from __future__ import annotations

import keras

from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedDense(MaskedLayer, keras.layers.Dense):
    """Dense layer that keeps only its highest-scored weights.

    Computes `activation(inputs @ (kernel * mask) + bias)`, where the mask keeps
    the `density` fraction of the kernel with the largest `|scores|`. What
    trains depends on the phase; see `hydra_tf.layers.MaskedLayer`.

    Args:
        units: Positive integer, size of the output space.
        density: Float in (0, 1], fraction of kernel entries kept. Defaults to
            `1.0`.
        scores_initializer: `"scaled"` (from the kernel) or a Keras
            initializer.
        phase: `None`, `"pretrain"`, `"prune"` or `"finetune"`.
        **kwargs: The other arguments of `keras.layers.Dense`.

    Call arguments:
        inputs: Float tensor of shape `(batch_size, ..., input_dim)`.

    Output shape:
        `(batch_size, ..., units)`.

    Example:

    >>> layer = MaskedDense(3, density=0.25)
    >>> layer.build((None, 4))
    >>> int(keras.ops.sum(layer.mask))
    3

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509)
    """

    plain_class = keras.layers.Dense
