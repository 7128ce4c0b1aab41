"""Masked layers that compute with the values of an integer network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from collections.abc import Iterator

import keras

from hydra_tf.layers.mask_view import owner_of
from hydra_tf.layers.traversal import find_masked


@contextlib.contextmanager
def fake_quantized(*layers: keras.layers.Layer) -> Iterator[None]:
    """Lets masked layers round their inputs and weights to 8 bits inside.

    That is what the int8 formats of `hydra_tf.export` do: inputs of a layer
    with one scale for all of them, kernels with one for each output channel.
    The range of the inputs is that of the batch. Layers without a mask compute
    as they do otherwise. A `tf.function` traced inside goes on rounding;
    `predict` and `evaluate` of the models do not.

    Args:
        *layers: Layers or models; those inside them count.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> with fake_quantized(model):
    ...     outputs = model(keras.ops.ones((1, 4)))
    """
    owners = {id(each): each for each in map(owner_of, find_masked(*layers))}
    before = {key: each.rounds_to_int8 for key, each in owners.items()}
    for owner in owners.values():
        vars(owner)["rounds_to_int8"] = True
    _forget_functions(layers)
    try:
        yield
    finally:
        for key, owner in owners.items():
            vars(owner)["rounds_to_int8"] = before[key]
        _forget_functions(layers)


def _forget_functions(layers: Iterable[keras.layers.Layer]) -> None:
    """Lets models trace anew what they predict and evaluate by."""
    for layer in layers:
        if isinstance(layer, keras.Model):
            layer.predict_function = layer.test_function = None
