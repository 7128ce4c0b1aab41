"""The masked cells of recurrent layers.

A recurrent layer is masked by its cell: `keras.layers.RNN(MaskedLSTMCell(8))`,
or `hydra_tf.to_masked` of a model with `keras.layers.LSTM(8)`.
"""

from __future__ import annotations

import keras

from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedSimpleRNNCell(MaskedLayer, keras.layers.SimpleRNNCell):
    """Cell of a SimpleRNN layer that keeps only its highest-scored weights.

    Its `kernel` and its `recurrent_kernel` have scores and a density each.
    Takes the arguments of `keras.layers.SimpleRNNCell`, and `density`,
    `scores_initializer` and `phase` as `hydra_tf.layers.MaskedDense` does.
    """

    plain_class = keras.layers.SimpleRNNCell


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedGRUCell(MaskedLayer, keras.layers.GRUCell):
    """Cell of a GRU layer that keeps only its highest-scored weights.

    Its `kernel` and its `recurrent_kernel` have scores and a density each.
    Takes the arguments of `keras.layers.GRUCell`, and `density`,
    `scores_initializer` and `phase` as `hydra_tf.layers.MaskedDense` does.
    """

    plain_class = keras.layers.GRUCell


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedLSTMCell(MaskedLayer, keras.layers.LSTMCell):
    """Cell of a LSTM layer that keeps only its highest-scored weights.

    Its `kernel` and its `recurrent_kernel` have scores and a density each.
    Takes the arguments of `keras.layers.LSTMCell`, and `density`,
    `scores_initializer` and `phase` as `hydra_tf.layers.MaskedDense` does.
    """

    plain_class = keras.layers.LSTMCell
