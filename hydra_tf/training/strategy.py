"""Distribution of training over the devices of this machine."""

from __future__ import annotations

import keras
import tensorflow as tf

from hydra_tf.registry import training as registry
from hydra_tf.training.weights import copy_weights


def make_strategy(
    strategy: str | tf.distribute.Strategy | None,
) -> tf.distribute.Strategy:
    """Returns a strategy by its name.

    Args:
        strategy: `"mirrored"` for a replica on every GPU, or on every CPU
            device where there is no GPU; `"auto"` for one on every GPU;
            `"none"` or `None` for the strategy that is current; or a strategy.

    Raises:
        InputError: If there is none of that name.
    """
    if isinstance(strategy, tf.distribute.Strategy):
        return strategy
    name = "none" if strategy is None else strategy
    registry.STRATEGY.check(name)
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus
    if name == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
    # A single device has nothing to mirror.
    if name != "none" and len(devices) > 1:
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.get_strategy()


def replicated(
    network: keras.Model, strategy: tf.distribute.Strategy
) -> keras.Model:
    """Returns a network with variables of a strategy, a copy if need be.

    Args:
        network: The network.
        strategy: The strategy, in whose scope this is called.
    """
    if strategy.num_replicas_in_sync == 1:
        return network
    copy = keras.models.clone_model(network)
    copy_weights(network, copy)
    return copy
