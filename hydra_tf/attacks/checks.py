"""What users hand to the attacks, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.logits import check_ends_in_logits
from hydra_tf.attacks.losses import class_labels
from hydra_tf.attacks.units import check_image_dtype
from hydra_tf.attacks.units import warn_of_units
from hydra_tf.errors import InputError
from hydra_tf.graph import is_graph
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import NUM_STEPS
from hydra_tf.registry.attacks import STEP_SIZE
from hydra_tf.registry.attacks import TARGET
from hydra_tf.registry.attacks import THREAT_MODEL
from hydra_tf.registry.objectives import CLIP

# An evaluation's may be left out, and it takes one step at least.
_STEP_SIZE = dataclasses.replace(STEP_SIZE, default=0.0)
_NUM_STEPS = dataclasses.replace(NUM_STEPS, lower=0)


def check_attack_settings(
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    threat_model: str,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> None:
    """Raises InputError for settings that no gradient attack can use.

    Tensors are not checked: their value may be unknown.
    """
    THREAT_MODEL.check(threat_model)
    CLIP.check(clip)
    EPSILON.check_within(epsilon, threat_model, clip)
    if not any(map(tf.is_tensor, (epsilon, *(clip or ())))):
        warn_of_units(clip, epsilon)
    _STEP_SIZE.check_within(step_size, threat_model, clip)
    _NUM_STEPS.check(num_steps)


def checked_images(
    x: Any,
    model: Any = None,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Returns the images as a float tensor with a batch axis.

    Args:
        x: Images.
        model: What is attacked, where its input's shape can be known.
        clip: Least and largest value of a pixel, or `None`.
    """
    x = inputs.as_array(x)
    shape = inputs.image_shape_of(model)
    inputs.check_images(x, clip=clip, shape=shape, takes_clip=True)
    return tf.convert_to_tensor(x)


def checked_labels(
    y: Any,
    x: tf.Tensor,
    model: Any,
    num_classes: int | None = None,
    soft: bool = False,
) -> tf.Tensor:
    """Returns integer labels of shape `(batch,)`.

    Args:
        y: Labels, `(batch,)` or `(batch, 1)`.
        x: Their images.
        model: What is attacked, where its number of logits can be known.
        num_classes: That number, where it is known already.
        soft: Whether they may be distributions over the classes, which are
            returned as float32 of shape `(batch, classes)`.
    """
    y = inputs.as_array(y)
    if soft and inputs.is_distribution(y):
        inputs.check_distributions(
            y,
            num_images=inputs.num_images_of(x),
            num_classes=num_classes or inputs.num_classes_of(model),
        )
        return tf.cast(y, tf.float32)
    inputs.check_labels(
        y,
        num_images=inputs.num_images_of(x),
        num_classes=num_classes or inputs.num_classes_of(model),
    )
    return class_labels(y)


def check_model(model: Any) -> None:
    """Raises `InputError` unless a model is one from images to logits."""
    if not callable(model):
        raise InputError(
            "`model` must be a Keras model, or a callable from images to "
            f"logits. Received: {model!r}"
        )
    check_ends_in_logits(model, "`model`")
    if is_graph(model) and model.built:
        check_image_dtype(model.inputs[0].dtype)


def check_has_squares(shape: tuple[int | None, ...]) -> None:
    """Raises `InputError` for images that Square cannot draw squares on.

    Args:
        shape: Shape of the images, with a batch axis.
    """
    if len(shape) != 4 or None in shape[1:]:
        raise InputError(
            "`x` must have the shape (batch, height, width, channels) for the "
            "attack 'square': add the axes, as x[..., np.newaxis] does, and "
            "let the network begin with a keras.layers.Reshape. Received: "
            f"shape={shape}"
        )


def check_target(target: int | tf.Tensor | None, num_targets: int) -> None:
    """Raises `InputError` for a target that there is not.

    Args:
        target: Rank of the only class to try, or `None` for all. A tensor's
            value is not checked.
        num_targets: Number of classes that are tried.
    """
    TARGET.check(target)
    if target is None or tf.is_tensor(target):
        return
    if target >= num_targets:
        raise InputError(
            f"`target` must be below {num_targets}, the number of targets. "
            f"Received: target={target}"
        )
