"""What a method of bounds is, and the base of those by backward passes."""

from __future__ import annotations

import abc
import dataclasses

import tensorflow as tf

from hydra_tf.bounds import backward
from hydra_tf.bounds import neurons
from hydra_tf.bounds.coefficients import Ends
from hydra_tf.bounds.neurons import LayerBounds
from hydra_tf.bounds.neurons import Relax
from hydra_tf.bounds.propagation import BoundPropagation


class Method(abc.ABC):
    """A method of bounds, a row of `hydra_tf.registry.bounds.BOUNDS`.

    Any callable of these arguments will do; only these tell bounds on layers.
    """

    @abc.abstractmethod
    def __call__(
        self, propagation: BoundPropagation, spec: tf.Tensor | None, upper: bool
    ) -> Ends:
        """Returns lower and upper bounds on outputs.

        Args:
            propagation: The network and the boxes of its inputs.
            spec: Tensor `(batch or 1, specs, outputs)`, or `None` for bounds on
                the outputs themselves.
            upper: Whether upper bounds are wanted; `None` stands for them
                otherwise.
        """

    @abc.abstractmethod
    def layers(self, propagation: BoundPropagation) -> LayerBounds:
        """Returns the bounds on hidden values that the method works with."""


@dataclasses.dataclass(frozen=True)
class BackwardMethod(Method):
    """Lines around activations, and a pass from the outputs to the input.

    Attributes:
        relax: Returns the lines around an activation by bounds on its input.
        refines: Whether activations' inputs get bounds by passes of their own
            instead of intervals.
    """

    relax: Relax
    refines: bool

    def __call__(
        self, propagation: BoundPropagation, spec: tf.Tensor | None, upper: bool
    ) -> Ends:
        graph = propagation.graph
        layers = self.layers(propagation)
        if spec is None:
            ends = neurons.bound_value(graph, graph.output, layers).ends
            return ends if upper else (ends[0], None)
        return backward.bound(
            graph,
            graph.output,
            spec,
            [value.shape for value in layers.values],
            dict(enumerate(layers.values)),
            layers.relaxations,
            upper=upper,
        )

    def layers(self, propagation: BoundPropagation) -> LayerBounds:
        if self.refines:
            return propagation.refined(self.relax)
        return propagation.relaxed(self.relax)
