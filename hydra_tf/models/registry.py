"""Networks by name: those of this package, and a user's own function."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from collections.abc import Sequence

import keras

from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.models import parts
from hydra_tf.models import resnet
from hydra_tf.models import small
from hydra_tf.models import vgg
from hydra_tf.models import wide_resnet

_NETWORKS: dict[str, Callable[..., keras.Model]] = {
    function.__name__: function
    for function in (
        small.digits_model,
        small.mnist_model,
        small.mnist_model_large,
        small.cifar_model,
        small.cifar_model_large,
        small.cifar_model_resnet,
        vgg.vgg2,
        vgg.vgg2_bn,
        vgg.vgg4,
        vgg.vgg4_bn,
        vgg.vgg8,
        vgg.vgg8_bn,
        vgg.vgg11,
        vgg.vgg11_bn,
        vgg.vgg13,
        vgg.vgg13_bn,
        vgg.vgg16,
        vgg.vgg16_bn,
        resnet.resnet18,
        resnet.resnet34,
        resnet.resnet50,
        resnet.resnet50_imagenet,
        wide_resnet.wrn_28_1,
        wide_resnet.wrn_28_4,
        wide_resnet.wrn_28_10,
        wide_resnet.wrn_34_10,
        wide_resnet.wrn_40_2,
    )
}


def names() -> list[str]:
    """Returns the names that `create` knows, family by family."""
    return list(_NETWORKS)


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
    if ":" in name:
        return _create_from_user(name, input_shape, num_classes)
    if name not in _NETWORKS:
        raise InputError(
            f"Unknown model {name!r}. {close_matches(name, _NETWORKS)} "
            "A network of your own is written 'package.module:function'."
        )
    return _NETWORKS[name](input_shape, num_classes)


def _create_from_user(
    name: str, input_shape: Sequence[int], num_classes: int
) -> keras.Model:
    shape = parts.check_arguments(name, input_shape, num_classes)
    function = _import_function(name)
    try:
        inspect.signature(function).bind(shape, num_classes)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Model {name!r} must be a function of (input_shape, num_classes); "
            f"it cannot be called so: {error}."
        ) from error
    model = function(shape, num_classes)
    if not isinstance(model, keras.Model):
        raise InputError(
            f"Model {name!r} must return a keras.Model. "
            f"It returned: {type(model).__name__}"
        )
    _check_shapes(name, model, (None, *shape), (None, num_classes))
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


def _import_function(name: str) -> Callable[..., object]:
    """Returns what `"package.module:function"` names."""
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name or module_name.startswith("."):
        raise InputError(
            f"Model {name!r} is not of the form 'package.module:function'."
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"Model {name!r} cannot be imported: {error}. The module must be "
            "installed, or lie below the current directory or PYTHONPATH."
        ) from error
    function = getattr(module, function_name, None)
    if function is None:
        public = [
            key
            for key, value in vars(module).items()
            if callable(value) and not key.startswith("_")
        ]
        hint = f" {close_matches(function_name, public)}" if public else ""
        raise InputError(
            f"Model {name!r}: module {module_name!r} has no function "
            f"{function_name!r}.{hint}"
        )
    if not callable(function):
        raise InputError(
            f"Model {name!r} must be a function of (input_shape, num_classes). "
            f"Received: {type(function).__name__}"
        )
    return function
