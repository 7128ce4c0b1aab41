"""Statistics of batch normalisation, of all replicas together."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf.keras_internals import flatten_layers


def running_statistics(network: keras.Model) -> list[keras.Variable]:
    """Returns what batch normalisation averages: all it has but what it learns.

    With `renorm=True` that is more than a moving mean and variance.

    Args:
        network: Keras model.
    """
    return [
        variable
        for layer in flatten_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization)
        for variable in layer.variables
        if variable is not layer.gamma and variable is not layer.beta
    ]


def merge_running_statistics(
    network: keras.Model, share: float | tf.Tensor
) -> None:
    """Gives every replica the mean of all replicas' running statistics.

    Keras leaves each replica its own, and saves those of the first.

    Args:
        network: Keras model, in the context of a replica.
        share: The part of the global batch that this replica had.
    """
    replica = tf.distribute.get_replica_context()
    statistics = running_statistics(network)
    if replica.num_replicas_in_sync == 1 or not statistics:
        return
    means = replica.all_reduce(
        tf.distribute.ReduceOp.SUM,
        [share * variable.value for variable in statistics],
    )
    for variable, mean in zip(statistics, means, strict=True):
        variable.assign(mean)
