"""Rules of layers with several inputs."""

from __future__ import annotations

from typing import Any

import keras

from hydra_tf.bounds.operations import Concatenation
from hydra_tf.bounds.operations import Operation
from hydra_tf.bounds.operations import WeightedSum
from hydra_tf.bounds.rules.registration import register_rule
from hydra_tf.bounds.rules.registration import unsupported


@register_rule(keras.layers.Add)
def _add(layer: Any, shapes: list[tuple]) -> Operation:
    return WeightedSum([1.0] * len(shapes))


@register_rule(keras.layers.Subtract)
def _subtract(layer: Any) -> Operation:
    return WeightedSum([1.0, -1.0])


@register_rule(keras.layers.Average)
def _average(layer: Any, shapes: list[tuple]) -> Operation:
    return WeightedSum([1.0 / len(shapes)] * len(shapes))


@register_rule(keras.layers.Concatenate)
def _concatenate(layer: Any, shapes: list[tuple]) -> Operation:
    if layer.axis % (len(shapes[0]) + 1) == 0:
        raise unsupported(layer.name, layer, "it joins batches")
    return Concatenation(layer.axis)
