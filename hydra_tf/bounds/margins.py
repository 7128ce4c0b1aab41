"""Certified lower bounds on the margins of classification."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf import inputs
from hydra_tf.bounds.checks import as_float
from hydra_tf.bounds.checks import check_epsilon
from hydra_tf.bounds.checks import check_labels
from hydra_tf.bounds.propagation import BoundPropagation
from hydra_tf.bounds.trace import network_of
from hydra_tf.bounds.trace import trace
from hydra_tf.errors import InputError
from hydra_tf.registry.bounds import BOUNDS
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.objectives import CLIP

METHODS = BOUNDS.names


def input_box(
    x: Any,
    epsilon: Any,
    clip: tuple[float, float] | None = (0.0, 1.0),
    shape: tuple[int | None, ...] | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the images within a Linf radius, as lower and upper ends.

    Args:
        x: Images, `(batch, ...)`; float64 stays, all else becomes float32.
        epsilon: Float >= 0 or scalar tensor, the radius.
        clip: Least and largest value of a pixel, or `None` for no limits.
        shape: Shape of one image, where it is known.

    Raises:
        InputError: If `epsilon` is no radius of such images, `clip` is no pair
            of limits, or `x` is not within them.
    """
    CLIP.check(clip)
    x = as_float(x)
    epsilon = tf.cast(check_epsilon(epsilon, clip), x.dtype)
    inputs.check_images(
        x, clip=clip, shape=shape, takes_clip=True, may_be_empty=True
    )
    lower, upper = x - epsilon, x + epsilon
    if clip is None:
        return lower, upper
    # The image itself is in its box, also if rounding put it outside.
    least, largest = (tf.cast(limit, x.dtype) for limit in clip)
    return (
        tf.minimum(tf.maximum(lower, least), x),
        tf.maximum(tf.minimum(upper, largest), x),
    )


def margin_spec(y: Any, num_classes: int, dtype: Any = tf.float32) -> tf.Tensor:
    """Returns the specification of the margins.

    Args:
        y: Integer labels, `(batch,)`.
        num_classes: Number of classes, at least 2.
        dtype: Of the result.

    Returns:
        Tensor `(batch, num_classes - 1, num_classes)`. Row j of an image is
        the unit vector of its class minus that of the j-th other class, in
        increasing order. Inside `tf.function`, where values are unknown, the
        rows of a label that is no class are NaN, and so are its margins.

    Raises:
        InputError: If a label is no class, or there is only one class.

    Example:

    >>> margin_spec([1], 3).numpy()
    array([[[-1.,  1.,  0.],
            [ 0.,  1., -1.]]], dtype=float32)
    """
    if num_classes < 2:
        raise InputError(
            "`num_classes` must be at least 2, else there is no margin. "
            f"Received: {num_classes}"
        )
    y = check_labels(y, num_classes)[:, tf.newaxis]
    others = tf.range(num_classes - 1)[tf.newaxis]
    others += tf.cast(others >= y, tf.int32)
    spec = tf.one_hot(y, num_classes, dtype=dtype) - tf.one_hot(
        others, num_classes, dtype=dtype
    )
    # `one_hot` is silent on what it does not know: minus a logit alone, which
    # may well be positive.
    is_class = ((y >= 0) & (y < num_classes))[:, :, tf.newaxis]
    return tf.where(is_class, spec, tf.constant(float("nan"), dtype))


@checked_call
def margins(
    model: Any,
    x: Any,
    y: Any,
    epsilon: Any,
    method: str = "crown_ibp",
    *,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Returns certified lower bounds on `logit_y - logit_j`, `j != y`.

    They hold for every image within the Linf radius `epsilon` of `x`, as far
    as the arithmetic is exact: see `certified`.

    Args:
        model: Functional or Sequential Keras model, masked or not, or a
            `RobustModel`, that ends in logits.
        x: Images in [0, 1], `(batch, ...)`. Bounds are computed in float64 if
            they are float64, otherwise in float32.
        y: Integer labels, `(batch,)`.
        epsilon: Float >= 0 or scalar tensor, the radius, within the range of
            the images.
        method: One of `METHODS`. From loose and fast to tight and slow: `"ibp"`
            (interval bound propagation); `"crown_ibp"` (one pass of CROWN over
            its intervals); `"symbolic"` (symbolic intervals) and `"crown"` (a
            pass for every neuron); `"best"`, the larger one of `"ibp"` and
            `"crown"`, margin by margin, as neither is always above the other.
            Or `package.module:name` of a method of your own.
        clip: Least and largest value of a pixel, or `None` for no limits.

    Returns:
        Float tensor `(batch, classes - 1)`, the other classes in increasing
        order.

    Raises:
        InputError: If an argument cannot be used.

    Reference:

    - [Gowal et al., 2018](https://arxiv.org/abs/1810.12715), IBP
    - [Zhang et al., 2019](https://arxiv.org/abs/1906.06316), CROWN-IBP
    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866), CROWN
    - [Wang et al., 2018](https://arxiv.org/abs/1809.08098), symbolic intervals
    """
    BOUNDS.entry(method)  # Before anything is computed.
    network = network_of(model)
    shape = inputs.image_shape_of(network)
    lower, upper = input_box(x, epsilon, clip, shape)
    outputs = network.outputs[0].shape
    inputs.check_logits(outputs)
    spec = margin_spec(y, outputs[-1], lower.dtype)
    if not spec.shape[:1].is_compatible_with(lower.shape[:1]):
        raise InputError(
            "`y` must have one label for each image. Received: "
            f"{spec.shape[0]} labels, {lower.shape[0]} images"
        )
    if lower.shape[0] == 0:  # Which many of TensorFlow's kernels refuse.
        return tf.zeros((0, outputs[-1] - 1), lower.dtype)
    propagation = BoundPropagation(model, lower, upper)
    return propagation.bound(method, spec, upper=False)[0]


@checked_call
def certified(
    model: Any,
    x: Any,
    y: Any,
    epsilon: Any,
    method: str = "best",
    *,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> tf.Tensor:
    """Returns whether no image within the radius is classified as not `y`.

    An image of a wrong prediction is never certified.

    The bounds are sound in exact arithmetic. Floating-point sums are not exact:
    in float32 a margin may be off by about 1e-5 of the largest numbers that add
    up to it, which matters to images whose margin is that close to 0. Pass `x`
    as float64 to make that error 1e-13; the guarantee then is one for the
    network evaluated in float64. Layers of lower precision are bounded as if
    they computed in that of the bounds. TensorFloat-32, in which GPUs multiply
    float32 matrices with an error of 1e-3, is switched off; inside a
    `tf.function` of your own, open `full_precision` around its calls.

    Args:
        model: See `margins`, as all arguments.
        x: Images in [0, 1].
        y: Labels.
        epsilon: Radius.
        method: Method of bounding.
        clip: Limits of a pixel.

    Returns:
        Bool tensor `(batch,)`.
    """
    return tf.reduce_all(
        margins(model, x, y, epsilon, method, clip=clip) > 0, axis=-1
    )


def check_supported(model: Any) -> None:
    """Raises `InputError` if bounds on a network cannot be computed.

    The message names the first layer without a rule.

    Args:
        model: See `margins`.
    """
    trace(model)
