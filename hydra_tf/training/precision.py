"""The precision in which a network computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.graph import is_only_graph
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.keras_internals import share_functions
from hydra_tf.keras_internals import trusting_functions
from hydra_tf.layers import FusedBatchNormalization
from hydra_tf.pruning.copying import build_like
from hydra_tf.pruning.copying import reason_of
from hydra_tf.training.weights import copy_weights

# What tells batch normalisation in the configuration of a network.
_PLAIN = {
    "module": "keras.layers",
    "class_name": "BatchNormalization",
    "registered_name": None,
}
_FUSED = {
    "module": FusedBatchNormalization.__module__,
    "class_name": FusedBatchNormalization.__name__,
    "registered_name": keras.saving.get_registered_name(
        FusedBatchNormalization
    ),
}


@contextlib.contextmanager
def default_precision(precision: str) -> Iterator[None]:
    """Makes a precision that of the layers which are made within the block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def with_precision(model: keras.Model, precision: str) -> keras.Model:
    """Returns the model with all its layers under another dtype policy.

    A dtype policy is fixed when a layer is made, so a network from a file
    keeps the one it was saved with; this rebuilds it. In half precision batch
    normalisation is by the fused kernel, in float32 by Keras's layer again.

    Args:
        model: A Functional, Sequential or otherwise serialisable model.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`. All
            keep their weights in float32.

    Returns:
        The model itself if nothing changes, else a new one with the same
        weights.

    Raises:
        InputError: If the model can't be rebuilt from its configuration.
    """
    if _is_in(model, precision):
        return model  # Also one that has no configuration.
    try:
        return _rebuilt(model, precision)
    except InputError:
        raise
    # Anything: the configuration may be a user's.
    except Exception as error:
        raise InputError(
            f"network '{model.name}' ({type(model).__name__}) can't be rebuilt "
            f"from its configuration for precision {precision!r}: "
            f"{reason_of(error)}. Give it a get_config() and a build() that "
            "make all its layers and weights"
        ) from error


def _rebuilt(model: keras.Model, precision: str) -> keras.Model:
    replaced, changed = _replace(model.get_config(), precision)
    if not changed and is_only_graph(model):
        return model  # Only what is of no precision, such as bytes.
    # Those at hand need not be registered.
    classes = {
        kind.__name__: kind
        for kind in map(type, flatten_layers(model))
        if not kind.__module__.startswith("keras.")
    }
    with (
        trusting_functions(),
        keras.saving.custom_object_scope(classes),
        default_precision(precision),  # Of layers that a constructor makes.
    ):
        converted = type(model).from_config(replaced)
    share_functions(model, converted)
    build_like(converted, model)
    copy_weights(model, converted)
    return converted


def _is_in(model: keras.Model, precision: str) -> bool:
    """Whether no layer of a model would be made differently."""
    is_fused = precision != "float32"
    return all(
        layer.dtype_policy.name == precision
        and (
            not isinstance(layer, keras.layers.BatchNormalization)
            or isinstance(layer, FusedBatchNormalization) == is_fused
        )
        for layer in flatten_layers(model)
    )


def policy_of(network: keras.Model) -> Any:
    """Returns the policy by which `compile` decides whether losses are scaled.

    That of a model is the global one when it was made, which may differ from
    its layers' when it was loaded or converted.

    Args:
        network: The network.
    """
    for layer in flatten_layers(network):
        if layer.dtype_policy.name == "mixed_float16":
            return layer.dtype_policy
    return network.dtype_policy


def _replace(config: Any, precision: str) -> tuple[Any, bool]:
    """Replaces policies and normalisation in a configuration.

    Returns:
        The new configuration, and whether anything changed.
    """
    if isinstance(config, dict):
        if config.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
            old = config["config"]["name"]
            return {**config, "config": {"name": precision}}, old != precision
        other, wanted = _PLAIN, _FUSED
        if precision == "float32":
            other, wanted = wanted, other
        is_other = other.items() <= config.items()
        if is_other:
            config = config | wanted
        items = {
            key: _replace(value, precision) for key, value in config.items()
        }
        return (
            {key: value for key, (value, _) in items.items()},
            is_other or any(changed for _, changed in items.values()),
        )
    if isinstance(config, list | tuple):
        values = [_replace(value, precision) for value in config]
        return (
            type(config)(value for value, _ in values),
            any(changed for _, changed in values),
        )
    return config, False
