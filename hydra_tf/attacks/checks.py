"""What users hand to the attacks, checked."""

from __future__ import annotations

import numbers
from typing import Any

import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import THREAT_MODEL


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
    check_number("epsilon", epsilon, minimum=0.0)
    check_number("step_size", step_size, minimum=0.0)
    check_number("num_steps", num_steps, minimum=0, integer=True)
    lowest, highest = clip
    if isinstance(lowest, numbers.Real) and isinstance(highest, numbers.Real):
        if not lowest < highest:
            raise InputError(
                "`clip` must be (smallest, largest) value of an image. "
                f"Received: clip={tuple(clip)}"
            )


def check_number(
    name: str,
    value: Any,
    *,
    minimum: float,
    integer: bool = False,
    strict: bool = False,
) -> None:
    """Raises InputError unless `value` is a tensor or a number >= `minimum`.

    With `strict` it must be larger than `minimum`.
    """
    if tf.is_tensor(value):
        return
    kind, wanted = numbers.Real, "a number"
    if integer:
        kind, wanted = numbers.Integral, "an integer"
    fits = isinstance(value, kind) and not isinstance(value, bool)
    # Also false for NaN and, written this way, for infinity.
    if (
        not fits
        or not minimum <= value < float("inf")
        or (strict and value == minimum)
    ):
        raise InputError(
            f"`{name}` must be {wanted} {'>' if strict else '>='} {minimum}. "
            f"Received: {name}={value!r}"
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
