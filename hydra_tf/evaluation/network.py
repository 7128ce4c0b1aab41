"""The network that is measured: the one that an export would hold."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf import pruning
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import check_ends_in_logits
from hydra_tf.attacks.logits import num_classes_of
from hydra_tf.attacks.logits import shows_its_end
from hydra_tf.attacks.losses import class_labels
from hydra_tf.attacks.suspicions import check_are_logits
from hydra_tf.attacks.units import hold_bytes
from hydra_tf.attacks.units import takes_bytes
from hydra_tf.bounds import network_of
from hydra_tf.errors import InputError
from hydra_tf.layers.traversal import find_masked

# Images that show what a network returns.
_FEW = 8


def as_exported(model: Any) -> Any:
    """Returns a network with its masks made permanent.

    Args:
        model: Keras model, masked or not, or a `RobustModel`; what is no Keras
            model, and a subclassed one, is returned as it is.

    Raises:
        InputError: If the model ends in a softmax.
    """
    check_ends_in_logits(model, "`model`")
    if not isinstance(model, keras.Model):
        return model
    try:
        network = network_of(model)
    except InputError:
        return model
    return pruning.strip_masks(network) if find_masked(network) else network


def checked_data(
    images: Any, labels: Any, model: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images as float32 and labels as int32 arrays.

    Args:
        images: Images in [0, 1].
        labels: Their classes.
        model: Keras model, or any callable from images to logits; `None` if
            there is none to compare with.

    Raises:
        InputError: If the images are not in [0, 1], there is not one label for
            each, or a subclassed model returns probabilities.
    """
    images, labels = inputs.as_array(images), inputs.as_array(labels)
    _check_units(images, model)
    shape = inputs.image_shape_of(model)
    inputs.check_images(images, "images", shape=shape)
    num_classes = None if model is None else num_classes_of(model, images)
    inputs.check_labels(
        labels, "labels", num_images=len(images), num_classes=num_classes
    )
    images = np.asarray(images).astype(np.float32, copy=False)
    if isinstance(model, keras.Model) and not shows_its_end(model):
        few = tf.constant(images[:_FEW])
        check_are_logits(as_logits_function(model)(few).numpy(), "`model`")
    return images, class_labels(labels).numpy().astype(np.int32)


def _check_units(images: Any, model: Any) -> None:
    """Raises `InputError`, or warns, if a model takes no images in [0, 1]."""
    if not takes_bytes(model):
        return
    message = (
        "`model` takes pixels of 0..255, which it scales down itself, and is "
        "measured on images in [0, 1]: put a layer in front of it, "
        "keras.Sequential([keras.layers.Rescaling(255.0), model]), and divide "
        "images by 255"
    )
    if hold_bytes(images):
        raise InputError(message)
    warnings.warn(message, UserWarning, stacklevel=3)
