"""A try of the user's own objective and attacks, before hours of training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hydra_tf import evaluation
from hydra_tf import training
from hydra_tf.registry import own_code
from hydra_tf.registry.table import is_own
from trainers.training.settings import Settings


def check(
    network: keras.Model,
    image_shape: Sequence[int],
    settings: Settings,
    phases: Iterable[str],
) -> None:
    """Calls the objective and the attacks that are a user's own, on two images.

    Args:
        network: The network, of whatever weights.
        image_shape: Shape of an image.
        settings: What the flags say.
        phases: The phases of the run.

    Raises:
        InputError: If a user's code raises, or returns what cannot be used.
    """
    objectives = {
        settings.objective_entry(phase).name: settings.objective_in(phase)
        for phase in phases
    }
    for name in filter(is_own, objectives):
        robust = training.RobustModel(network, objectives[name])
        robust.compile(run_eagerly=True)
        own_code.call(robust.test_on_batch, *_batch(network, image_shape))
    check_attacks(network, image_shape, settings.evaluation)


def check_attacks(
    network: Callable[..., Any],
    image_shape: Sequence[int],
    settings: evaluation.EvaluationSettings,
) -> None:
    """Calls the attacks that are a user's own; see `check`."""
    attacks = tuple(filter(is_own, settings.attacks))
    if not attacks:
        return
    own_code.call(
        evaluation.evaluate,
        network,
        *_batch(network, image_shape),
        dataclasses.replace(
            settings,
            attacks=attacks,
            bounds=(),
            smoothing=None,
            num_restarts=1,
        ),
    )


def _batch(
    network: Callable[..., Any], image_shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images with the classes that the network gives them.

    Attacks are shown only what is classified right.
    """
    rng = np.random.default_rng(0)
    images = rng.random((2, *image_shape), np.float32)
    return images, np.argmax(network(images), axis=-1)
