"""Interval bound propagation (IBP): one box for every value of a network."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf.bounds import backward
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.methods import Method
from hydra_tf.bounds.neurons import LayerBounds
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.propagation import BoundPropagation
from hydra_tf.bounds.propagation import Bounds
from hydra_tf.bounds.propagation import bounds_by


class _IBP(Method):
    """Intervals, with the specification merged into the last affine layer."""

    def __call__(
        self, propagation: BoundPropagation, spec: tf.Tensor | None, upper: bool
    ) -> Ends:
        graph, values = propagation.graph, propagation.intervals
        if spec is None:
            lower, higher = values[graph.output].ends
            return lower, higher if upper else None
        last = graph.producer(graph.output)
        merges = last is not None and isinstance(last.operation, Linear)
        return backward.bound(
            graph,
            graph.output,
            spec,
            [value.shape for value in values],
            dict(enumerate(values)),
            {},
            stop=graph.output - 1 if merges else graph.output,
            upper=upper,
        )

    def layers(self, propagation: BoundPropagation) -> LayerBounds:
        return LayerBounds(propagation.intervals, {})


IBP = _IBP()


def interval(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns interval bounds on a network's outputs (method `ibp`).

    Exact for one affine layer; looser with every layer after it. At `lower ==
    upper` they are the outputs.

    Args:
        model: Functional or Sequential Keras model, masked or not, or a
            `RobustModel`. Layers act as in inference.
        lower: Tensor `(batch, *input_shape)`, lower ends of the boxes.
        upper: Their upper ends. Bounds are computed in float64 if the boxes
            are, otherwise in float32.
        spec: Tensor `(batch or 1, specs, outputs)`: bounds on `spec @ outputs`
            are returned; merged with the last affine layer, they are tighter
            than those computed from bounds on the outputs.
        return_intermediate: Whether to return the bounds on every activation's
            input, too.

    Returns:
        Lower and upper bounds, `(batch, outputs)` or `(batch, specs)` each;
        with `return_intermediate` also a dict, from the name of each layer that
        computes the input of an activation to lower and upper bounds on it.

    Raises:
        InputError: If a layer has no rule, or an argument does not fit.

    Reference:

    - [Gowal et al., 2018](https://arxiv.org/abs/1810.12715)
    """
    return bounds_by("ibp", model, lower, upper, spec, return_intermediate)
