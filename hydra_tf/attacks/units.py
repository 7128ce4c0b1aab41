"""The units of images: whether a radius is one of the network's pixels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.graph import Call
from hydra_tf.graph import is_graph
from hydra_tf.graph import walk
from hydra_tf.keras_internals import flatten_layers

# Networks that divide by more than this, or by such a deviation, take pixels
# of 0..255: of images in [0, 1] nothing would be left.
_LARGE_DIVISOR = 20.0

# Ranges of images as wide as this are of 0..255, centred or not.
_WIDE = 128

# Images that show what their pixels are.
_FEW = 8

# Less than this is no radius of pixels of 0..255 that anyone trains on, but
# what is common in units of [0, 1].
_LEAST = {"epsilon": 0.5, "sigma": 2.0}

# What leaves the values of pixels as they are, or adds others of their kind.
_UNCHANGED = (
    keras.layers.CenterCrop,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.Permute,
    keras.layers.RandomCrop,
    keras.layers.RandomFlip,
    keras.layers.RandomRotation,
    keras.layers.RandomTranslation,
    keras.layers.RandomZoom,
    keras.layers.Reshape,
    keras.layers.Resizing,
    keras.layers.ZeroPadding2D,
)


def rescaling_of(
    network: Any, image: int | None = None
) -> tuple[str, float] | None:
    """Returns what scales a network's images first, and by what factor.

    Args:
        network: Keras model. Only the first layer counts of one that does not
            show its graph.
        image: Which of several inputs holds the images.

    Returns:
        Its name and the largest factor; `None` if nothing is seen to.
    """
    if not isinstance(network, keras.Model):
        return None
    if not is_graph(network):
        first = next(iter(flatten_layers(network, include_self=False)), None)
        if first is None or isinstance(first, keras.Model):
            return rescaling_of(first)
        return _named(first.name, _factor(first))
    if not network.built or (image is None and len(network.inputs) != 1):
        return None
    graph = walk(network)
    number = graph.inputs[image or 0].number
    for call in graph.calls:
        if number not in [value.number for value in call.inputs]:
            continue
        factor = _factor(call.operation, call)
        if factor is not None:
            return _named(call.name, factor)
        if not _keeps_scale(call):
            return None
        number = call.outputs[0].number
    return None


def are_bytes(clip: tuple[Any, Any] | None) -> bool:
    """Whether images within limits are pixels of 0..255, centred or not.

    Args:
        clip: Least and largest value of a pixel, or `None`.
    """
    return clip is not None and clip[1] - clip[0] >= _WIDE


def hold_bytes(images: Any) -> bool:
    """Whether images are pixels of 0..255, by their type or first values.

    Args:
        images: Array or eager tensor.
    """
    few = np.asarray(images[:_FEW]) if np.ndim(images) else np.zeros(0)
    if few.dtype.kind == "f":
        return bool(few.size and few.max() > 2)
    return few.dtype.kind in "iu"


def takes_bytes(network: Any, image: int | None = None) -> bool:
    """Whether a network is seen to begin with what scales 0..255 down.

    Args:
        network: Keras model; of anything else nothing is known.
        image: Which of several inputs holds the images.
    """
    rescaling = rescaling_of(network, image)
    return rescaling is not None and rescaling[1] < 1 / _LARGE_DIVISOR


def check_units(
    network: Any,
    clip: tuple[Any, Any] | None,
    radii: Mapping[str, float | None],
    *,
    strict: bool = True,
    image: int | None = None,
) -> None:
    """Raises `InputError` if radii are not in the units of a network's images.

    A network that begins with `Rescaling(1 / 255)` takes pixels of 0..255:
    there `epsilon=8 / 255` would be 255 times too small, and train a network
    that is not robust at all.

    Args:
        network: Keras model; of anything else nothing is known.
        clip: Least and largest value of a pixel, or `None`.
        radii: The radius `"epsilon"`, or the deviation `"sigma"`, in the same
            units; `None` for none.
        strict: Whether images in [0, 1], by `clip`, are an error for a network
            of 0..255, and not a warning.
        image: Which of several inputs holds the images.
    """
    is_wide = are_bytes(clip)
    divides = takes_bytes(network, image)
    is_narrow = divides and clip is not None and not is_wide
    if not (is_wide or divides):
        return
    small = {
        name: value
        for name, value in radii.items()
        if value is not None and 0 < value < _LEAST[name]
    }
    if not (is_narrow or small):
        return
    why = f"`clip` is {_shown(clip)}"
    if divides:
        name, factor = rescaling_of(network, image)  # type: ignore[misc]
        why = (
            f"`network` takes pixels of 0..255, as its '{name}' multiplies "
            f"them by {factor:.3g}"
        )
    received = [f"{name}={value:.6g}" for name, value in small.items()]
    right = [f"{name}={255 * value:.6g}" for name, value in small.items()]
    if is_narrow:
        received.insert(0, f"clip={_shown(clip)}")
        right.insert(0, "clip=(0, 255)")
    message = (
        f"{why}, and radii are in those units, 255 times those of [0, 1]: give "
        f"{' and '.join(right)}, or put keras.layers.Rescaling(255.0) in front "
        "of the network for images in [0, 1]. "
        f"Received: {' and '.join(received)}"
    )
    if strict or not is_narrow:
        raise InputError(message)
    warnings.warn(message, UserWarning, stacklevel=2)


def warn_of_units(clip: tuple[Any, Any] | None, epsilon: float) -> None:
    """Warns of a radius that is too small for pixels of 0..255.

    Args:
        clip: Least and largest value of a pixel, or `None`.
        epsilon: The radius.
    """
    if are_bytes(clip) and 0 < epsilon < _LEAST["epsilon"]:
        warnings.warn(
            f"`epsilon`={epsilon:.6g} is in the units of `clip`="
            f"{_shown(clip)}, 255 times those of [0, 1]: is epsilon="
            f"{255 * epsilon:.6g} meant?",
            UserWarning,
            stacklevel=2,
        )


def check_image_dtype(dtype: str, name: str = "`model`") -> None:
    """Raises `InputError` if a network makes images whole numbers.

    Args:
        dtype: What its input converts images to.
        name: What the message calls it.
    """
    if not keras.backend.is_float_dtype(dtype):
        raise InputError(
            f"{name} has an input of dtype {dtype}, which makes perturbed "
            "images whole numbers, so that no gradient reaches them: make it "
            "with keras.Input(shape), of float32, which takes the same images"
        )


def _shown(clip: Any) -> str:
    return "None" if clip is None else f"({clip[0]:g}, {clip[1]:g})"


def _named(name: str, factor: float | None) -> tuple[str, float] | None:
    return None if factor is None else (name, factor)


def _keeps_scale(call: Call) -> bool:
    """Whether a call leaves distances between pixels as they are."""
    operation = call.operation
    if type(operation).__name__ in ("Add", "Subtract"):
        # A constant, not a second branch.
        return len(call.inputs) == 1
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    return isinstance(operation, _UNCHANGED) or type(operation).__name__ in (
        "Cast",
        "Reshape",
        "Pad",
    )


def _factor(operation: Any, call: Call | None = None) -> float | None:
    """Returns by what an operation multiplies its input, `None` for others."""
    if isinstance(operation, keras.layers.Rescaling):
        return _largest(operation.scale)
    if isinstance(operation, keras.layers.Normalization):
        variance = getattr(operation, "variance", None)
        if variance is None or operation.invert:
            return None
        deviation = np.sqrt(np.asarray(variance, np.float64))
        return _largest(1 / np.maximum(deviation, keras.config.epsilon()))
    name = type(operation).__name__
    if call is None or name not in ("Divide", "TrueDivide", "Multiply"):
        return None
    constants = [
        each
        for each in (*call.constants, *call.settings.values())
        if np.all(np.isreal(each))
    ]
    if len(call.inputs) != 1 or len(constants) != 1:
        return None
    constant = _largest(constants[0])
    if name == "Multiply":
        return constant
    return 1 / constant if constant else None


def _largest(values: Any) -> float:
    return float(np.max(np.abs(np.asarray(values, np.float64))))
