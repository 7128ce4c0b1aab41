"""The masked dense layer over any axes."""

from __future__ import annotations

import keras

from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedEinsumDense(MaskedLayer, keras.layers.EinsumDense):
    """Dense layer over any axes that keeps only its highest-scored weights.

    The projections of `keras.layers.MultiHeadAttention` are such layers. Takes
    the arguments of `keras.layers.EinsumDense`, and `density`,
    `scores_initializer` and `phase` as `hydra_tf.layers.MaskedDense` does.
    """

    plain_class = keras.layers.EinsumDense
