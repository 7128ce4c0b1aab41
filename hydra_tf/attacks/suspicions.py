"""What makes a figure of robustness doubtful, in plain words."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hydra_tf import text
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.losses import cross_entropy
from hydra_tf.errors import InputError

# Rounding of two passes on the same images, and of a sum of probabilities.
_ROUNDING = 1e-4
_ROUNDING_OF_SUM = 1e-3
# Share of all images that Square may break beyond what gradients break.
_BEYOND_GRADIENTS = 0.002


def of_network(
    model: Model, x: np.ndarray, y: np.ndarray, version: str = "standard"
) -> list[str]:
    """Returns what is odd about a network, by its answers to a few images.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float32 images.
        y: Their labels.
        version: The version of AutoAttack.
    """
    logits_of = as_logits_function(model)
    images = tf.constant(x)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = logits_of(images)
        loss = tf.reduce_sum(cross_entropy(logits, tf.constant(y)))
    gradient = tape.gradient(
        loss, images, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    found = []
    values = logits.numpy()
    if are_probabilities(values):
        found.append(
            "the network returns probabilities, not logits: gradients vanish "
            "where it is sure; attack it without its softmax"
        )
    infinite = _share(~np.all(np.isfinite(values), axis=-1))
    if infinite > 0:
        found.append(
            f"the logits of {text.percent(infinite)} of the images are nan or "
            "infinite: no gradient leads there"
        )
    still = _share(~np.any(gradient.numpy(), axis=tuple(range(1, x.ndim))))
    if still > 0:
        found.append(
            "the gradient of the cross-entropy is zero for "
            f"{text.percent(still)} of the images: attacks on it cannot move "
            "them"
        )
    again = logits_of(images).numpy()
    finite = np.isfinite(values) & np.isfinite(again)
    one, other = values[finite], again[finite]
    is_random = not np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING)
    if is_random and version != "rand":
        found.append(
            "the network is random, its logits differ between two passes: "
            "use version='rand'"
        )
    if version == "rand" and not is_random:
        found.append(
            "the network is not random: version='standard' attacks it better"
        )
    return found


def of_square(broken_by: np.ndarray) -> list[str]:
    """Returns what is odd about the images that Square broke.

    Args:
        broken_by: Names of the attacks that broke the images, each run on what
            withstood those before.
    """
    share = _share(broken_by == "square")
    if share <= _BEYOND_GRADIENTS:
        return []
    return [
        f"Square, which needs no gradient, broke {text.percent(share)} of the "
        "images that the attacks by gradients did not: gradients may be "
        "obfuscated, and the true accuracy may be lower"
    ]


def are_probabilities(values: np.ndarray) -> bool:
    """Whether every row of what a network returns is >= 0 and sums to 1."""
    if not np.all(np.isfinite(values) & (values >= 0)):
        return False
    return bool(
        np.all(np.abs(np.sum(values, axis=-1) - 1.0) < _ROUNDING_OF_SUM)
    )


def check_are_logits(values: np.ndarray, name: str) -> None:
    """Raises `InputError` if what a network returns are probabilities.

    Args:
        values: What it returns for some images.
        name: What the message calls the network.
    """
    if are_probabilities(values):
        raise InputError(
            f"{name} returns probabilities, rows of values >= 0 that sum to 1: "
            "it must return logits, so leave its softmax out"
        )


def _share(flags: np.ndarray) -> float:
    return float(np.mean(flags))
