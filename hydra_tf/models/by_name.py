"""Networks by name: those of this package, and a user's own function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.keras_internals import name_activations
from hydra_tf.models import parts
from hydra_tf.registry import own_code
from hydra_tf.registry.models import MODELS
from hydra_tf.registry.table import import_object


def names() -> list[str]:
    """Returns the names that `create` knows, family by family."""
    return list(MODELS.names)


def register(name: str, *, help: str = "") -> Callable[[Any], Any]:
    """Returns a decorator that makes `create` know a function by name.

    Args:
        name: Name of the network.
        help: What it is, in a few words.

    Example:

    ```python
    @hydra_tf.models.register("linear")
    def linear(input_shape, num_classes):
        return keras.Sequential([
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ])
    ```
    """
    return MODELS.register(name, help=help, settings=())


def create(
    name: str, input_shape: Sequence[int], num_classes: int
) -> keras.Model:
    """Builds a network by name.

    Args:
        name: One of `names()`, or `"package.module:function"` for a function
            of the user's own, which is called with `input_shape` and
            `num_classes` and returns a `keras.Model` from images in [0, 1] to
            logits.
        input_shape: Height, width and channels of the images.
        num_classes: Number of logits.

    Returns:
        The model, with fresh weights (`keras.utils.set_random_seed` makes them
        reproducible).

    Raises:
        InputError: If the name is unknown, the user's function cannot be
            used, or the network cannot take such images or classes.

    Example:
    >>> create("digits_model", (8, 8, 1), 10).output_shape
    (None, 10)
    """
    if not isinstance(name, str):
        raise InputError(
            "`model` must be the name of a network or "
            f"'package.module:function'. Received: {name!r}"
        )
    if ":" not in name and name not in MODELS:
        raise InputError(
            f"Unknown model {name!r}. {close_matches(name, MODELS.names)} "
            "A network of your own is written 'package.module:function'."
        )
    function = import_object(name) if ":" in name else MODELS.load(name)
    return _call(name, function, input_shape, num_classes)


def _call(
    name: str,
    function: Any,
    input_shape: Sequence[int],
    num_classes: int,
) -> keras.Model:
    shape = parts.check_arguments(name, input_shape, num_classes)
    if not callable(function):
        raise InputError(
            f"Model {name!r} must be a function of (input_shape, num_classes). "
            f"Received: {type(function).__name__}"
        )
    try:
        inspect.signature(function).bind(shape, num_classes)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Model {name!r} must be a function of (input_shape, num_classes); "
            f"it cannot be called so: {error}."
        ) from error
    model = own_code.call(function, shape, num_classes)
    if not isinstance(model, keras.Model):
        raise InputError(
            f"Model {name!r} must return a keras.Model. "
            f"It returned: {type(model).__name__}"
        )
    _check_shapes(name, model, (None, *shape), (None, num_classes))
    name_activations(model)
    return model


def _check_shapes(
    name: str,
    model: keras.Model,
    image_shape: tuple[int | None, ...],
    logits_shape: tuple[int | None, ...],
) -> None:
    """Raises an `InputError` if the model maps other shapes."""
    for what, wanted in (("input", image_shape), ("output", logits_shape)):
        # A subclassed model has no shapes before it is called.
        shape = getattr(model, f"{what}_shape", None)
        if shape is None:
            continue
        fits = isinstance(shape, tuple) and len(shape) == len(wanted)
        if not fits or any(
            None not in (size, size_wanted) and size != size_wanted
            for size, size_wanted in zip(shape, wanted, strict=True)
        ):
            raise InputError(
                f"Model {name!r} must return a keras.Model from images "
                f"{image_shape} to logits {logits_shape}. Its {what} has "
                f"shape {shape}."
            )
