"""What users hand in as images and labels: one rule for all that take them.

Arrays and eager tensors are read once. Of what is traced into a function the
values are not known: dtype and shape alone are looked at, which costs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.errors import InputError

# What rounding may add to the range of images, as a share of it.
_ROUNDING = 1e-3

_RESCALE = (
    "make another range, or normalisation, a layer of the network, such as "
    "keras.layers.Rescaling"
)


_OF_DATASET = ", as an array: np.concatenate([images for images, _ in dataset])"


def check_images(
    x: Any,
    name: str = "x",
    *,
    clip: tuple[Any, Any] | None = (0.0, 1.0),
    shape: tuple[int | None, ...] | None = None,
    takes_clip: bool = False,
    may_be_empty: bool = False,
    takes_integers: bool = False,
) -> None:
    """Raises `InputError` unless images are what a network takes.

    Args:
        x: Images, an array or a tensor.
        name: What the message calls them.
        clip: Least and largest value of a pixel, or `None` for no limits.
        shape: Shape of one image for the network, `None` if it is not known;
            so are sizes that are `None`.
        takes_clip: Whether the caller has an argument `clip` to offer.
        may_be_empty: Whether a batch of no images is one.
        takes_integers: Whether pixels may be integers.
    """
    _check_dtype(x, name, clip, takes_integers)
    _check_shape(x, name, shape, may_be_empty)
    values = _values(x)
    if values is None or not values.size:
        return
    if values.dtype.kind == "V":  # NumPy has no bfloat16.
        values = values.astype(np.float32)
    lowest, highest = values.min(), values.max()
    within = (
        "be finite numbers" if clip is None else f"lie in {_interval(clip)}"
    )
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        wrong = int(np.count_nonzero(~np.isfinite(values)))
        raise InputError(
            f"`{name}` must {within}. Received: {wrong} of {values.size} "
            "values are nan or infinite"
        )
    if clip is None or any(_values(limit) is None for limit in clip):
        return
    least, largest = map(float, clip)
    slack = _ROUNDING * (largest - least)
    if lowest >= least - slack and highest <= largest + slack:
        return
    ways = [_RESCALE]
    if lowest >= 0 and largest == 1 and highest <= 255:
        ways = ["divide pixels of 0..255 by 255"]
    if takes_clip:
        ways.append("give `clip`, the range that the network was trained on")
    raise InputError(
        f"`{name}` must {within}: {'; or '.join(ways)}. Received: values from "
        f"{lowest:g} to {highest:g}"
    )


def as_array(value: Any) -> Any:
    """Returns arrays and tensors as they are, lists as arrays.

    A list of Python numbers is float32, as everywhere in TensorFlow.
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return value
    try:
        array = np.asarray(value)
    except ValueError:  # Lists of different lengths.
        array = np.asarray(value, object)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def check_labels(
    y: Any,
    name: str = "y",
    *,
    num_images: int | None = None,
    num_classes: int | None = None,
    because: str = "as the network has {} logits",
    whole_floats: bool = False,
) -> None:
    """Raises `InputError` unless labels are classes, one for each image.

    Args:
        y: Labels, an array or a tensor.
        name: What the message calls them.
        num_images: Number of images, `None` if it is not known.
        num_classes: Number of classes, `None` if it is not known.
        because: Where the number of classes comes from.
        whole_floats: Whether floats pass that are whole numbers.
    """
    dtype, shape = _dtype(y), _shape(y)
    if shape is not None and len(shape) != 1 and shape[1:] != (1,):
        hint = "; of one-hot labels, np.argmax(labels, axis=-1)"
        raise InputError(
            f"`{name}` must hold one class index per image, shape (batch,) or "
            f"(batch, 1){hint if len(shape) == 2 else ''}. "
            f"Received: shape={shape}"
        )
    floats_pass = whole_floats and dtype is not None and dtype.is_floating
    if dtype is None or not (dtype.is_integer or floats_pass):
        raise InputError(
            f"`{name}` must hold class indices as integers. "
            f"Received: {_kind(y)}"
        )
    if num_images is not None and shape is not None:
        if shape[0] is not None and shape[0] != num_images:
            raise InputError(
                f"`{name}` must hold one label for each image. Received: "
                f"{shape[0]} labels, {num_images} images"
            )
    values = _values(y)
    if values is None or not values.size:
        return
    if dtype.is_floating:
        values = values.astype(np.float64)
        wrong = values[values != np.floor(values)]
        if wrong.size:
            raise InputError(
                f"`{name}` must hold class indices, whole numbers. "
                f"Received: {wrong[0]:g}"
            )
    above = np.inf if num_classes is None else num_classes
    wrong = values[(values < 0) | (values >= above)]
    if wrong.size:
        classes = "of at least 0"
        if num_classes is not None:
            classes = f"from 0 to {num_classes - 1}, "
            classes += because.format(num_classes)
        raise InputError(
            f"`{name}` must hold classes {classes}. Received: {wrong[0]:g}"
        )


def is_distribution(y: Any) -> bool:
    """Whether labels have the shape of one-hot or soft ones.

    Args:
        y: Labels, an array or a tensor.
    """
    shape = _shape(y)
    return shape is not None and len(shape) == 2 and shape[1] != 1


def check_distributions(
    y: Any,
    name: str = "y",
    *,
    num_images: int | None = None,
    num_classes: int | None = None,
    one_hot_for: str | None = None,
) -> None:
    """Raises `InputError` unless labels are distributions over the classes.

    Args:
        y: One-hot or soft labels, an array or a tensor of two axes.
        name: What the message calls them.
        num_images: Number of images, `None` if it is not known.
        num_classes: Number of classes, `None` if it is not known.
        one_hot_for: What takes one class per image, so that labels must be
            one-hot; `None` where they may be soft.
    """
    dtype, shape = _dtype(y), _shape(y) or (None, None)
    if dtype is None or not (dtype.is_floating or dtype.is_integer):
        raise InputError(
            f"`{name}` must hold the probability of each class as numbers. "
            f"Received: {_kind(y)}"
        )
    if num_classes is not None and shape[1] not in (None, num_classes):
        raise InputError(
            f"`{name}` must hold class indices, shape (batch,), or one "
            f"probability per class, shape (batch, {num_classes}), as the "
            f"network has {num_classes} logits. Received: shape={shape}"
        )
    if num_images is not None and shape[0] not in (None, num_images):
        raise InputError(
            f"`{name}` must hold one label for each image. Received: "
            f"{shape[0]} labels, {num_images} images"
        )
    values = _values(y)
    if values is None or not values.size:
        return
    values = values.astype(np.float64)
    sums = values.sum(axis=-1)
    # Written so that nan is wrong.
    wrong = ~((values >= 0).all(axis=-1) & (abs(sums - 1) <= _ROUNDING))
    if wrong.any():
        raise InputError(
            f"`{name}` must hold class indices, or rows of probabilities >= 0 "
            f"that sum to 1. Received: the row {_row(values[wrong][0])}"
        )
    soft = values.max(axis=-1) < 1 - _ROUNDING
    if one_hot_for is not None and soft.any():
        raise InputError(
            f"`{name}` must hold one class per image for {one_hot_for}, which "
            "is not defined for soft labels (`soft_labels` is False): class "
            "indices or one-hot rows, or another objective, such as TRADES. "
            "Received: the row "
            f"{_row(values[soft][0])}"
        )


def _row(values: np.ndarray) -> str:
    """Returns the first values of a row, short enough for a line."""
    shown = [f"{value:g}" for value in values[:4]]
    return "[" + ", ".join(shown + ["..."] * (len(values) > 4)) + "]"


def check_logits(shape: Any, name: str = "model") -> None:
    """Raises `InputError` unless outputs are logits of two classes or more.

    Args:
        shape: Shape of the outputs, as far as it is known.
        name: What the message calls the network.
    """
    shape = tf.TensorShape(shape)
    if shape.rank is None:
        return
    if shape.rank != 2 or shape[1] in (0, 1):
        raise InputError(
            f"`{name}` must return logits of shape (batch, classes), of two "
            f"classes or more. Received: output shape={tuple(shape)}"
        )


def image_shape_of(network: Any) -> tuple[int | None, ...] | None:
    """Returns the shape of one image for a network, `None` if not known.

    Args:
        network: Keras model, or a `RobustModel`; of anything else it is not
            known.
    """
    return _one_shape(network, "input_shape")


def num_classes_of(network: Any) -> int | None:
    """Returns how many logits a network has, `None` if that is not known."""
    shape = _one_shape(network, "output_shape")
    return shape[-1] if shape else None


def num_images_of(x: Any) -> int | None:
    """Returns the size of a batch, `None` if it is not known."""
    shape = _shape(x)
    return shape[0] if shape else None


def _one_shape(network: Any, attribute: str) -> tuple[int | None, ...] | None:
    network = getattr(network, "network", network)
    # Keras raises AttributeError where a model is not built.
    shape = getattr(network, attribute, None)
    if not isinstance(shape, tuple) or not all(
        size is None or isinstance(size, int) for size in shape
    ):
        return None
    return shape[1:]


def _check_dtype(
    x: Any, name: str, clip: tuple[Any, Any] | None, takes_integers: bool
) -> None:
    dtype = _dtype(x)
    if takes_integers and dtype is not None and dtype.is_integer:
        return
    if dtype is None or not dtype.is_floating:
        pixels = dtype is not None and dtype.is_integer
        is_unit = clip is not None and tuple(clip) == (0.0, 1.0)
        raise InputError(
            f"`{name}` must hold float images"
            + (f", with values in {_interval(clip)}" if clip else "")
            + (": divide pixels of 0..255 by 255" if pixels and is_unit else "")
            + (_OF_DATASET if _is_dataset(x) else "")
            + f". Received: {_kind(x)}"
        )


def _check_shape(
    x: Any,
    name: str,
    expected: tuple[int | None, ...] | None,
    may_be_empty: bool,
) -> None:
    shape = _shape(x)
    if shape is None:
        return
    if expected is not None and not _suits(shape[1:], expected):
        hint = ""
        if _fits(shape, expected):
            hint = f". One image is a batch as {name}[np.newaxis]; a dataset "
            hint += "needs .batch(128)"
        elif len(shape) == 4 and _fits((*shape[2:], shape[1]), expected):
            hint = f". Move the channels to the end: np.moveaxis({name}, 1, -1)"
        sizes = ", ".join("any" if s is None else str(s) for s in expected)
        raise InputError(
            f"`{name}` must have the shape (batch, {sizes}) of the network's "
            f"input. Received: shape={shape}{hint}"
        )
    if len(shape) < 2 or 0 in shape[int(may_be_empty) :]:
        raise InputError(
            f"`{name}` must hold one image or more, with a batch axis: shape "
            f"(batch, ...). Received: shape={shape}"
        )


def _suits(shape: tuple[int | None, ...], expected: tuple) -> bool:
    """Whether images fit; Keras adds or drops a last axis of size 1."""
    return (
        _fits(shape, expected)
        or _fits((*shape, 1), expected)
        or (shape[-1:] == (1,) and _fits(shape[:-1], expected))
    )


def _fits(shape: tuple[int | None, ...], expected: tuple) -> bool:
    return tf.TensorShape(shape).is_compatible_with(expected)


def _shape(value: Any) -> tuple[int | None, ...] | None:
    """Returns a shape, `None` where even the number of axes is not known."""
    shape = value.shape
    if isinstance(shape, tf.TensorShape):
        return None if shape.rank is None else tuple(shape)
    return tuple(shape)


def _dtype(value: Any) -> tf.DType | None:
    """Returns a dtype, `None` for what is no number, such as texts."""
    try:
        return tf.as_dtype(value.dtype)
    except TypeError:
        return None


def _kind(value: Any) -> str:
    """Returns the dtype in words; of what is no array, its type."""
    name = getattr(value.dtype, "name", str(value.dtype))
    if name == "object" and _shape(value) == ():
        return f"a {type(value.item()).__name__}"
    return f"dtype={name}"


def _is_dataset(value: Any) -> bool:
    is_object = isinstance(value, np.ndarray) and value.shape == ()
    return is_object and isinstance(value.item(), tf.data.Dataset)


def _values(value: Any) -> np.ndarray | None:
    """Returns values, `None` where a function is being traced."""
    if not tf.is_tensor(value):
        return np.asarray(value)
    return None if tf.is_symbolic_tensor(value) else value.numpy()


def _interval(clip: tuple[Any, Any]) -> str:
    return (
        "["
        + ", ".join(
            f"{float(v):g}" if _values(v) is not None else "?" for v in clip
        )
        + "]"
    )
