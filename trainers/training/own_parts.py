"""A try of the user's own objective and attacks, before hours of training."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from hydra_tf import evaluation
from hydra_tf import training
from hydra_tf.registry import own_code
from hydra_tf.registry.table import is_own
from trainers.training.settings import Settings


def check(network: keras.Model, settings: Settings) -> None:
    """Calls what the flags name by `package.module:name`, on two images.

    Args:
        network: The network, of whatever weights.
        settings: What the flags say.

    Raises:
        InputError: If a user's code raises, or returns what cannot be used.
    """
    shape = (2, *network.input_shape[1:])
    images = np.random.default_rng(0).random(shape, np.float32)
    # Attacks are shown only what is classified right.
    labels = np.argmax(network(images), axis=-1)
    if is_own(settings.objective_entry.name):
        robust = training.RobustModel(network, settings.objective)
        robust.compile(run_eagerly=True)
        own_code.call(robust.test_on_batch, images, labels)
    attacks = tuple(filter(is_own, settings.evaluation.attacks))
    if attacks:
        own_code.call(
            evaluation.evaluate,
            network,
            images,
            labels,
            dataclasses.replace(
                settings.evaluation,
                attacks=attacks,
                bounds=(),
                smoothing=None,
                num_restarts=1,
            ),
        )
