"""Checks of what users hand to the bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.attacks.losses import class_labels
from hydra_tf.bounds.trace import Graph
from hydra_tf.errors import InputError
from hydra_tf.registry.objectives import EPSILON


def as_float(value: Any) -> tf.Tensor:
    """Returns a tensor of float64 if the value is of that, else of float32.

    A list of Python numbers is float32, as everywhere in TensorFlow.
    """
    if not tf.is_tensor(value) and not isinstance(value, np.ndarray):
        value = tf.convert_to_tensor(value)
    dtype = tf.as_dtype(value.dtype)
    return tf.cast(value, tf.float64 if dtype == tf.float64 else tf.float32)


def known(tensor: tf.Tensor) -> np.ndarray | None:
    """Returns a tensor's value, or `None` while a function is traced."""
    return None if tf.is_symbolic_tensor(tensor) else tensor.numpy()


def check_box(
    graph: Graph, lower: Any, upper: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the ends of boxes as tensors of one dtype.

    Raises:
        InputError: If they fit neither each other nor the network.
    """
    lower, upper = as_float(lower), as_float(upper)
    if lower.dtype != upper.dtype:
        lower = tf.cast(lower, tf.float64)
        upper = tf.cast(upper, tf.float64)
    for name, end in (("lower", lower), ("upper", upper)):
        if end.shape.rank != len(graph.input_shape) + 1 or not end.shape[
            1:
        ].is_compatible_with(graph.input_shape):
            raise InputError(
                f"`{name}` must have the shape (batch, "
                f"{', '.join(map(str, graph.input_shape))}). "
                f"Received: shape={tuple(end.shape)}"
            )
    if not lower.shape.is_compatible_with(upper.shape):
        raise InputError(
            "`lower` and `upper` must have one shape. Received: "
            f"{tuple(lower.shape)} and {tuple(upper.shape)}"
        )
    shape = [None, *graph.input_shape]
    lower, upper = tf.ensure_shape(lower, shape), tf.ensure_shape(upper, shape)
    low, high = known(lower), known(upper)
    if low is not None and high is not None and not np.all(low <= high):
        raise InputError("`lower` must nowhere be above `upper`, nor be NaN")
    return lower, upper


def check_spec(
    spec: Any, output_shape: tuple[int, ...], like: tf.Tensor
) -> tf.Tensor:
    """Returns a specification in the dtype of the bounds.

    Args:
        spec: The specification, `(batch or 1, specs, outputs)`.
        output_shape: Shape of the network's output, without the batch.
        like: Tensor of the bounds' dtype, whose first axis is the batch.
    """
    spec = tf.cast(tf.convert_to_tensor(spec), like.dtype)
    if len(output_shape) != 1:
        raise InputError(
            "`spec` needs a network that returns (batch, classes). Its output "
            f"has the shape (batch, {', '.join(map(str, output_shape))})"
        )
    batch = like.shape[0]
    if (
        spec.shape.rank != 3
        or spec.shape[2] != output_shape[0]
        or (
            None not in (spec.shape[0], batch)
            and spec.shape[0] not in (1, batch)
        )
    ):
        raise InputError(
            "`spec` must have the shape (batch, specs, "
            f"{output_shape[0]}). Received: shape={tuple(spec.shape)}"
        )
    return spec


def check_epsilon(epsilon: Any, clip: tuple[float, float] | None) -> Any:
    """Returns a radius, or raises `InputError` if it is none of images.

    Args:
        epsilon: Number or scalar tensor.
        clip: Limits of a pixel, or `None`.
    """
    if tf.is_tensor(epsilon) and tf.is_symbolic_tensor(epsilon):
        return epsilon
    value = np.asarray(epsilon)
    # Numbers of NumPy and tensors as numbers of Python.
    EPSILON.check_within(
        value.item() if value.shape == () else value.tolist(), "linf", clip
    )
    return epsilon


def check_labels(y: Any, num_classes: int) -> tf.Tensor:
    """Returns labels as int32 of shape `(batch,)`.

    Raises:
        InputError: If there is one outside 0 to `num_classes - 1`, as far as
            values are known.
    """
    y = inputs.as_array(y)
    inputs.check_labels(y, num_classes=num_classes)
    return tf.cast(class_labels(y), tf.int32)
