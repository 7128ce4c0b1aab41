"""Bounds of a network over boxes of inputs, by every method."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from hydra_tf.bounds import backward_pass
from hydra_tf.bounds import relaxation
from hydra_tf.bounds.backward_pass import Ends
from hydra_tf.bounds.checks import check_box
from hydra_tf.bounds.checks import check_intermediate
from hydra_tf.bounds.checks import check_spec
from hydra_tf.bounds.graph import Graph
from hydra_tf.bounds.graph import exact_marginals
from hydra_tf.bounds.graph import size
from hydra_tf.bounds.graph import trace
from hydra_tf.bounds.interval_pass import Interval
from hydra_tf.bounds.interval_pass import propagate
from hydra_tf.bounds.operations import LeakyReLU
from hydra_tf.bounds.operations import Linear
from hydra_tf.bounds.operations import Monotone
from hydra_tf.bounds.relaxation import Relaxation
from hydra_tf.bounds.windows import Window
from hydra_tf.bounds.windows import find_windows
from hydra_tf.bounds.windows import num_window_entries
from hydra_tf.bounds.windows import on_windows
from hydra_tf.ops.loops import map_in_order

# Numbers in the largest tensor of coefficients of a pass, about.
_MAX_NUMBERS = 2**25
# Numbers in the windows of a batch's feature maps.
_MAX_WINDOWS = 2**26
# Batch size to count with where it is not known.
_USUAL_BATCH = 32

_Relax = Callable[[LeakyReLU, Interval], Relaxation]


@dataclasses.dataclass(frozen=True)
class _Refinement:
    """Bounds of activations' inputs that each had a pass of its own.

    Attributes:
        values: Interval of each value, refined where an activation reads it.
        relaxations: Of each activation, by the number of the value that it
            computes (several may read one value).
    """

    values: list[Interval]
    relaxations: dict[int, Relaxation]


class BoundPropagation:
    """A network and boxes of its inputs, whose outputs it bounds.

    What several methods need is computed once: the interval pass, and the
    bounds of the activations' inputs. Gradients flow to the weights of the
    network and to the boxes. Works eagerly and inside `tf.function`; weights
    are read when it is made.

    Each method takes a specification, a tensor `(batch or 1, specs, outputs)`,
    and bounds `spec @ outputs`, with the specification merged into the last
    affine layer; without one it bounds the outputs. It returns lower and upper
    bounds, `None` for the upper ones if `upper` is False.

    Args:
        model: Functional or Sequential Keras model, masked or not, or a
            `RobustModel`.
        lower: Tensor `(batch, *input_shape)`, lower ends of the boxes. The
            memory of methods with a pass for every neuron is kept within bounds
            if the size of the batch is known when a function is traced;
            otherwise it grows with the batch.
        upper: Their upper ends, of the same shape. Bounds are computed in
            float64 if the boxes are, otherwise in float32.

    Raises:
        InputError: If a layer has no rule, or the boxes do not fit.

    Example:
        ```python
        lower, upper = ht.bounds.input_box(images, 2 / 255)
        spec = ht.bounds.margin_spec(labels, num_classes=10)
        propagation = ht.bounds.BoundPropagation(model, lower, upper)
        ibp, _ = propagation.interval(spec, upper=False)
        crown_ibp, _ = propagation.crown(spec, upper=False)
        ```
    """

    def __init__(self, model: Any, lower: Any, upper: Any):
        self._graph = trace(model)
        self._box = Interval(*check_box(self._graph, lower, upper))
        self._exact = exact_marginals(self._graph)
        self._refinements: dict[_Relax, _Refinement] = {}

    def interval(self, spec: Any = None, *, upper: bool = True) -> Ends:
        """Returns interval bounds (IBP)."""
        output = self._graph.output
        if spec is None:
            return self._intervals[output].ends()
        last = self._graph.producer(output)
        merges = last is not None and isinstance(last.operation, Linear)
        return backward_pass.bound(
            self._graph,
            output,
            self._spec_rows(spec),
            [value.shape for value in self._intervals],
            dict(enumerate(self._intervals)),
            {},
            stop=output - 1 if merges else output,
            upper=upper,
        )

    def crown(
        self,
        spec: Any = None,
        intermediate: str = "ibp",
        *,
        upper: bool = True,
    ) -> Ends:
        """Returns CROWN's bounds, by one pass back from the outputs.

        Args:
            spec: The specification.
            intermediate: How the activations' inputs are bounded: `"ibp"` by
                intervals, which makes it CROWN-IBP, or `"crown"` by a pass of
                their own for each layer, which is tighter and far slower.
            upper: Whether upper bounds are wanted.
        """
        check_intermediate(intermediate)
        refine = intermediate == "crown"
        return self._backward(spec, relaxation.adaptive, refine, upper)

    def symbolic(self, spec: Any = None, *, upper: bool = True) -> Ends:
        """Returns the bounds of symbolic interval analysis.

        Computed from the outputs back to the input, which gives the bounds of
        the forward analysis: both lines around an activation have one slope.
        """
        return self._backward(spec, relaxation.parallel, True, upper)

    def intermediate(self, method: str) -> dict[str, Ends]:
        """Returns bounds of every activation's input, by layer.

        Args:
            method: `"ibp"`, `"crown"` or `"symbolic"`.

        Returns:
            Lower and upper bounds, `(batch, *shape)` each, by the name of the
            layer that computes the activation's input. The layers of a nested
            model have its name in front, `"encoder/conv1"`; a layer that is
            called again has the number of the call behind, `"conv1:2"`.
        """
        values = self._intervals
        if method != "ibp":
            relax = (
                relaxation.adaptive
                if method == "crown"
                else relaxation.parallel
            )
            values = self._refinement(relax).values
        bounds: dict[str, Ends] = {}
        for node in self._graph.nodes:
            if isinstance(node.operation, LeakyReLU | Monotone):
                number = node.inputs[0]
                # A convolution with a ReLU inside and max pooling behind it
                # computes inputs of two: the first is meant.
                bounds.setdefault(
                    self._graph.names[number], values[number].ends()
                )
        return bounds

    @property
    def _batch(self) -> int:
        """The size of the batch, or what it is likely to be."""
        return self._box.lower.shape[0] or _USUAL_BATCH

    @functools.cached_property
    def _ends_of_passes(self) -> list[int]:
        """The values whose intervals a pass back may end with."""
        return [
            0,
            *(
                node.output
                for node in self._graph.nodes
                if isinstance(node.operation, Monotone)
            ),
        ]

    @functools.cached_property
    def _intervals(self) -> list[Interval]:
        return propagate(self._graph, self._box)

    def _backward(
        self, spec: Any, relax: _Relax, refine: bool, upper: bool
    ) -> Ends:
        output = self._graph.output
        values = self._intervals
        if refine:
            refinement = self._refinement(relax)
            values = refinement.values
            relaxations = refinement.relaxations
        else:
            relaxations = {
                node.output: relax(node.operation, values[node.inputs[0]])
                for node in self._graph.nodes
                if isinstance(node.operation, LeakyReLU)
            }
        if spec is not None:
            rows = self._spec_rows(spec)
            return backward_pass.bound(
                self._graph,
                output,
                rows,
                [value.shape for value in values],
                dict(enumerate(values)),
                relaxations,
                upper=upper,
            )
        bounds = self._bound_value(output, values, relaxations)
        return bounds.ends() if upper else (bounds.lower, None)

    def _refinement(self, relax: _Relax) -> _Refinement:
        """Returns bounds of the activations' inputs by passes of their own."""
        if relax in self._refinements:
            return self._refinements[relax]
        values = list(self._intervals)
        relaxations: dict[int, Relaxation] = {}
        bounded: set[int] = set(self._exact)
        finished: list[tf.Tensor] = []
        for node in self._graph.nodes:
            if not isinstance(node.operation, LeakyReLU | Monotone):
                continue
            before = node.inputs[0]
            if before not in bounded:
                # One after the other: what passes prepare is large.
                with tf.control_dependencies(finished):
                    values[before] = self._bound_value(
                        before, values, relaxations
                    )
                finished = [values[before].lower]
                bounded.add(before)
            if isinstance(node.operation, Monotone):
                values[node.output] = Interval(
                    *map(node.operation, values[before].ends())
                )
            else:
                relaxations[node.output] = relax(node.operation, values[before])
        self._refinements[relax] = _Refinement(values, relaxations)
        return self._refinements[relax]

    def _bound_value(
        self,
        number: int,
        values: list[Interval],
        relaxations: dict[int, Relaxation],
    ) -> Interval:
        """Returns bounds of every entry of a value, by a pass back from it."""
        shape = values[number].shape
        shapes = [value.shape for value in values]
        windows = find_windows(self._graph, number, shapes)
        if windows is None:
            boxes = {each: values[each] for each in self._ends_of_passes}
            lower, upper = self._bound_entries(
                self._graph, number, shapes, boxes, relaxations
            )
        elif self._batch * num_window_entries(windows, shapes) <= _MAX_WINDOWS:
            lower, upper = self._bound_places(
                number, windows, values, relaxations
            )
        else:
            # Windows of a single image fit into memory, all together do not.
            dtype = self._box.lower.dtype
            lower, upper = map_in_order(
                lambda image: self._bound_places(
                    number,
                    windows,
                    [value.of_image(image) for value in values],
                    {k: v.of_image(image) for k, v in relaxations.items()},
                ),
                tf.range(tf.shape(self._box.lower)[0]),
                (dtype, dtype),
            )
        return Interval(
            tf.reshape(lower, [-1, *shape]), tf.reshape(upper, [-1, *shape])
        )

    def _bound_places(
        self,
        number: int,
        windows: Mapping[int, Window],
        values: list[Interval],
        relaxations: dict[int, Relaxation],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns bounds of a feature map, each of its places by itself."""
        small = on_windows(self._graph, number, windows, values, relaxations)
        return self._bound_entries(
            small.graph,
            small.output,
            small.shapes,
            small.boxes,
            small.relaxations,
            places=size(values[number].shape[:2]),
        )

    def _bound_entries(
        self,
        graph: Graph,
        number: int,
        shapes: Sequence[tuple[int, ...]],
        boxes: Mapping[int, Interval],
        relaxations: Mapping[int, Relaxation],
        *,
        places: int = 1,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns lower and upper bounds `(batch * places, entries)`."""
        shape = shapes[number]
        entries = size(shape)
        dtype = self._box.lower.dtype

        def bound(first: tf.Tensor | int, count: int) -> Any:
            rows = tf.one_hot(tf.range(count) + first, entries, dtype=dtype)
            return backward_pass.bound(
                graph,
                number,
                tf.reshape(rows, [1, count, *shape]),
                shapes,
                boxes,
                relaxations,
            )

        # Not for the first time inside the loop, whose tensors stay there.
        for box in boxes.values():
            box.settle()
        batch = self._batch * places
        largest = max(size(shape) for shape in shapes[: number + 1])
        count = min(entries, max(1, _MAX_NUMBERS // (largest * batch)))
        if count == entries:
            return bound(0, entries)
        # As many rows at a time as memory allows.
        lower, upper = map_in_order(
            lambda first: bound(first, count),
            tf.range(0, entries, count),
            (dtype, dtype),
        )
        return _joined(lower)[:, :entries], _joined(upper)[:, :entries]

    def _spec_rows(self, spec: Any) -> tf.Tensor:
        shape = self._intervals[self._graph.output].shape
        return check_spec(spec, shape, self._box.lower)


def _joined(parts: tf.Tensor) -> tf.Tensor:
    """Parts `(parts, batch, rows)` as `(batch, parts * rows)`."""
    batch = tf.shape(parts)[1]
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), [batch, -1])
