"""The methods of bounding as functions of a network and boxes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf.bounds.propagation import BoundPropagation

Bounds = tuple[Any, ...]


def interval(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns interval bounds of a network's outputs (IBP).

    Exact for one affine layer; looser with every layer after it. At `lower ==
    upper` they are the outputs.

    Args:
        model: Functional or Sequential Keras model, masked or not, or a
            `RobustModel`. Layers act as in inference.
        lower: Tensor `(batch, *input_shape)`, lower ends of the boxes.
        upper: Their upper ends. Bounds are computed in float64 if the boxes
            are, otherwise in float32.
        spec: Tensor `(batch or 1, specs, outputs)`: bounds of `spec @ outputs`
            are returned; merged with the last affine layer, they are tighter
            than those computed from bounds of the outputs.
        return_intermediate: Whether to return the bounds of every activation's
            input, too.

    Returns:
        Lower and upper bounds, `(batch, outputs)` or `(batch, specs)` each;
        with `return_intermediate` also a dict, from the name of each layer that
        computes the input of an activation to lower and upper bounds of it.

    Raises:
        InputError: If a layer has no rule, or an argument does not fit.

    Reference:

    - [Gowal et al., 2018](https://arxiv.org/abs/1810.12715)
    """
    propagation = BoundPropagation(model, lower, upper)
    bounds = propagation.interval(spec)
    return _with(bounds, propagation, return_intermediate and "ibp")


def crown(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    intermediate: str = "ibp",
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns CROWN's bounds of a network's outputs.

    Every activation is enclosed by two lines; what follows is linear, and
    bounded over the box as a whole. The lower line of a ReLU has slope 1 if the
    upper bound of its input exceeds the lower one in absolute value, else 0.

    Args:
        model: See `interval`, as the other arguments.
        lower: Lower ends of the boxes.
        upper: Upper ends of the boxes.
        spec: The specification.
        intermediate: `"ibp"` for interval bounds of the activations' inputs
            (CROWN-IBP: one pass for the specifications), `"crown"` for CROWN's
            own (a pass for every neuron).
        return_intermediate: Whether to return these bounds, too.

    Returns:
        As `interval`.

    Raises:
        InputError: If a layer has no rule, or an argument does not fit.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1811.00866)
    - [Zhang et al., 2019](https://arxiv.org/abs/1906.06316), CROWN-IBP
    """
    propagation = BoundPropagation(model, lower, upper)
    bounds = propagation.crown(spec, intermediate)
    return _with(bounds, propagation, return_intermediate and intermediate)


def symbolic_interval(
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any = None,
    *,
    return_intermediate: bool = False,
) -> Bounds:
    """Returns the bounds of symbolic interval analysis.

    Every value is a linear function of the input plus one error for each
    activation of unknown sign. The whole batch is analysed at once.

    Args:
        model: See `interval`, as the other arguments.
        lower: Lower ends of the boxes.
        upper: Upper ends of the boxes.
        spec: The specification.
        return_intermediate: Whether to return the bounds of every activation's
            input, too.

    Returns:
        As `interval`.

    Raises:
        InputError: If a layer has no rule, or an argument does not fit.

    Reference:

    - [Wang et al., 2018](https://arxiv.org/abs/1809.08098)
    - [Wang et al., 2018](https://arxiv.org/abs/1811.02625), MixTrain
    """
    propagation = BoundPropagation(model, lower, upper)
    bounds = propagation.symbolic(spec)
    return _with(bounds, propagation, return_intermediate and "symbolic")


def _with(
    bounds: tuple[tf.Tensor, tf.Tensor | None],
    propagation: BoundPropagation,
    method: str | bool,
) -> Bounds:
    if not isinstance(method, str):
        return bounds
    return (*bounds, propagation.intermediate(method))
