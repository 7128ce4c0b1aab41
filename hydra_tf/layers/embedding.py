"""The masked embeddings."""

from __future__ import annotations

import keras

from hydra_tf.layers.masked_layer import MaskedLayer


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedEmbedding(MaskedLayer, keras.layers.Embedding):
    """Embedding that keeps only its highest-scored entries.

    With granularity `"channel"` whole rows are removed: an embedding reads
    one-hot vectors, so that its rows are its input channels. Takes the
    arguments of `keras.layers.Embedding`, and `density`, `scores_initializer`
    and `phase` as `hydra_tf.layers.MaskedDense` does.

    Example:

    >>> layer = MaskedEmbedding(10, 4, density=0.25)
    >>> layer.build()
    >>> int(keras.ops.sum(layer.mask))
    10
    """

    plain_class = keras.layers.Embedding


@keras.saving.register_keras_serializable(package="hydra_tf")
class MaskedReversibleEmbedding(MaskedLayer, keras.layers.ReversibleEmbedding):
    """Embedding and its reverse that keep only their highest-scored entries.

    If the two are tied they have one mask. Takes the arguments of
    `keras.layers.ReversibleEmbedding`, and those of `MaskedEmbedding`.
    """

    plain_class = keras.layers.ReversibleEmbedding
