"""A network and boxes of its inputs, for bounds by any method."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from hydra_tf.bounds import neurons
from hydra_tf.bounds.boxes import Interval
from hydra_tf.bounds.checks import check_box
from hydra_tf.bounds.checks import check_spec
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.intervals import propagate
from hydra_tf.bounds.neurons import LayerBounds
from hydra_tf.bounds.neurons import Relax
from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.precision import full_precision
from hydra_tf.bounds.trace import Graph
from hydra_tf.bounds.trace import trace
from hydra_tf.errors import InputError
from hydra_tf.registry.bounds import BOUNDS
from hydra_tf.registry.settings import Choice

Bounds = tuple[Any, ...]

# In a `tf.function` of one's own, AutoGraph would first rewrite all that is
# called from here, which takes seconds and changes nothing.
_as_written = tf.autograph.experimental.do_not_convert

_INTERMEDIATE = Choice(
    name="intermediate",
    choices=("ibp", "crown"),
    default="ibp",
    help="Method that bounds the activations' inputs.",
)


class BoundPropagation:
    """A network and boxes of its inputs, whose outputs it bounds.

    What several methods need is computed once: the intervals of all values, and
    the bounds on the activations' inputs. Gradients flow to the weights of the
    network and to the boxes. Works eagerly, at full precision, and inside
    `tf.function` (on GPUs see `full_precision`); weights are read when it is
    made.

    Each method takes a specification, a tensor `(batch or 1, specs, outputs)`,
    and bounds `spec @ outputs`, with the specification merged into the last
    affine layer; without one it bounds the outputs. It returns lower and upper
    bounds, `None` for the upper ones if `upper` is False.

    Args:
        model: Functional or Sequential Keras model, masked or not, or a
            `RobustModel`.
        lower: Tensor `(batch, *input_shape)`, lower ends of the boxes. The
            memory of methods with a pass for every neuron is kept within limits
            if the size of the batch is known when a function is traced;
            otherwise it grows with the batch.
        upper: Their upper ends, of the same shape. Bounds are computed in
            float64 if the boxes are, otherwise in float32.

    Attributes:
        graph: The operations of the network.
        box: The boxes.

    Raises:
        InputError: If a layer has no rule, or the boxes do not fit.

    Example:
        ```python
        lower, upper = ht.bounds.input_box(images, 2 / 255)
        spec = ht.bounds.margin_spec(labels, num_classes=10)
        propagation = ht.bounds.BoundPropagation(model, lower, upper)
        ibp, _ = propagation.bound("ibp", spec, upper=False)
        crown_ibp, _ = propagation.bound("crown_ibp", spec, upper=False)
        ```
    """

    @_as_written
    @full_precision()
    def __init__(self, model: Any, lower: Any, upper: Any):
        self.graph: Graph = trace(model)
        self.box = Interval(*check_box(self.graph, lower, upper))
        self._relaxed: dict[Relax, LayerBounds] = {}
        self._refined: dict[Relax, LayerBounds] = {}

    @_as_written
    @full_precision()
    def bound(
        self, method: str, spec: Any = None, *, upper: bool = True
    ) -> Ends:
        """Returns bounds by a method.

        Args:
            method: A name of `hydra_tf.bounds.METHODS`, or of a method of your
                own, `package.module:name`: a callable of the propagation,
                `spec` and `upper`.
            spec: The specification.
            upper: Whether upper bounds are wanted.
        """
        bound = BOUNDS.load(method)
        if spec is not None:
            output = self.intervals[self.graph.output]
            spec = check_spec(spec, output.shape, self.box.lower)
        return bound(self, spec, upper)

    def interval(self, spec: Any = None, *, upper: bool = True) -> Ends:
        """Returns the bounds of the method `ibp`."""
        return self.bound("ibp", spec, upper=upper)

    def crown(
        self,
        spec: Any = None,
        intermediate: str = "ibp",
        *,
        upper: bool = True,
    ) -> Ends:
        """Returns CROWN's bounds; `intermediate` as in `bounds.crown`."""
        return self.bound(crown_method(intermediate), spec, upper=upper)

    def symbolic(self, spec: Any = None, *, upper: bool = True) -> Ends:
        """Returns the bounds of the method `symbolic`."""
        return self.bound("symbolic", spec, upper=upper)

    @_as_written
    @full_precision()
    def intermediate(self, method: str) -> dict[str, Ends]:
        """Returns the bounds on every activation's input, by layer.

        Args:
            method: A name of `hydra_tf.bounds.METHODS`.

        Returns:
            Lower and upper bounds, `(batch, *shape)` each, by the name of the
            layer that computes the activation's input. The layers of a nested
            model have its name in front, `"encoder/conv1"`; a layer that is
            called again has the number of the call behind, `"conv1:2"`.
        """
        bound = BOUNDS.load(method)
        if not hasattr(bound, "layers"):
            raise InputError(
                f"method {method!r} does not tell bounds on activations' inputs"
            )
        values = bound.layers(self).values
        bounds: dict[str, Ends] = {}
        for node in self.graph.nodes:
            if isinstance(node.operation, LeakyReLU | Monotone | Nonlinear):
                for number in node.inputs:
                    # A convolution with a ReLU inside and max pooling behind
                    # it computes inputs of two: the first is meant.
                    name = self.graph.names[number]
                    bounds.setdefault(name, values[number].ends)
        return bounds

    @functools.cached_property
    def intervals(self) -> list[Interval]:
        """Interval of every value."""
        return propagate(self.graph, self.box)

    def relaxed(self, relax: Relax) -> LayerBounds:
        """Returns intervals with the lines around activations over them.

        Args:
            relax: Returns the lines around an activation.
        """
        if relax not in self._relaxed:
            self._relaxed[relax] = neurons.relaxed(
                self.graph, self.intervals, relax
            )
        return self._relaxed[relax]

    def refined(self, relax: Relax) -> LayerBounds:
        """Returns bounds on activations' inputs by passes of their own.

        Args:
            relax: Returns the lines around an activation.
        """
        if relax not in self._refined:
            self._refined[relax] = neurons.refine(
                self.graph, self.intervals, relax
            )
        return self._refined[relax]


def crown_method(intermediate: str) -> str:
    """Returns the method of CROWN that bounds activations' inputs so."""
    chosen = _INTERMEDIATE.check(intermediate)
    return "crown_ibp" if chosen == "ibp" else chosen


def bounds_by(
    method: str,
    model: Any,
    lower: Any,
    upper: Any,
    spec: Any,
    return_intermediate: bool,
) -> Bounds:
    """Returns bounds by a method, on request those on activations' inputs too.

    Args:
        method: A name of `hydra_tf.bounds.METHODS`.
        model: See `BoundPropagation`, as the boxes.
        lower: Lower ends of the boxes.
        upper: Upper ends of the boxes.
        spec: The specification, or `None`.
        return_intermediate: Whether the result ends in a dict of the bounds on
            every activation's input.
    """
    propagation = BoundPropagation(model, lower, upper)
    bounds = propagation.bound(method, spec)
    if not return_intermediate:
        return bounds
    return (*bounds, propagation.intermediate(method))
