"""What users hand to the attacks, checked."""

from __future__ import annotations

import dataclasses
import numbers

import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import NUM_STEPS
from hydra_tf.registry.attacks import STEP_SIZE
from hydra_tf.registry.attacks import THREAT_MODEL

# An evaluation's may be left out, and it takes one step at least.
_STEP_SIZE = dataclasses.replace(STEP_SIZE, default=0.0)
_NUM_STEPS = dataclasses.replace(NUM_STEPS, lower=0)


def check_attack_settings(
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    threat_model: str,
    clip: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Raises InputError for settings that no gradient attack can use.

    Tensors are not checked: their value may be unknown.
    """
    THREAT_MODEL.check(threat_model)
    EPSILON.check(epsilon)
    _STEP_SIZE.check(step_size)
    _NUM_STEPS.check(num_steps)
    lowest, highest = clip
    if isinstance(lowest, numbers.Real) and isinstance(highest, numbers.Real):
        if not lowest < highest:
            raise InputError(
                "`clip` must be (smallest, largest) value of an image. "
                f"Received: clip={tuple(clip)}"
            )


def checked_images(x: tf.Tensor) -> tf.Tensor:
    """Returns the images as a float tensor with a batch axis."""
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise InputError(
            "`x` must hold float images, in [0, 1] unless `clip` says "
            f"otherwise. Received: dtype={x.dtype.name}"
        )
    if x.shape.rank is None or x.shape.rank < 2:
        raise InputError(
            "`x` must have a batch axis and one axis or more per image. "
            f"Received: shape={x.shape}"
        )
    return x
