"""How a step of training or evaluation attacks its batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.objectives.base import Objective
from hydra_tf.training.batch import Batch
from hydra_tf.training.warm_start import WarmStart


def attacked(
    attack: Objective | Callable[..., Any],
    network: keras.Model,
    batch: Batch,
    seed: tf.Tensor,
    epoch: tf.Tensor | None = None,
    warm_start: WarmStart | None = None,
) -> tf.Tensor:
    """Returns the images of a batch as an attack leaves them.

    Args:
        attack: Objective whose `perturb` it is, or callable
            `(model, images, labels) -> images`.
        network: What is attacked.
        batch: Images and labels.
        seed: Seed of the step.
        epoch: Float32 scalar, epochs done, for an objective whose attack
            follows it; `None` for the end of its schedules.
        warm_start: Where the attack starts, which takes note of where it
            ended; `None` for where the objective does.
    """
    model = batch.attacked(network)
    if not isinstance(attack, Objective):
        return attack(model, batch.x, batch.classes)
    given: dict[str, Any] = {}
    if epoch is not None and accepts_argument(attack.perturb, "epoch"):
        given["epoch"] = epoch
    if warm_start is not None:
        given["start"] = warm_start.starts(batch.x, attack.clip)
    labels = batch.y if attack.soft_labels else batch.classes
    images = attack.perturb(model, batch.x, labels, seed=seed, **given)
    if warm_start is not None:
        warm_start.keep(batch, images)
    return images
