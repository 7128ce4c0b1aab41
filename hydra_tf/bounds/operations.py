"""The operations that bounds are propagated through.

A rule (`hydra_tf.bounds.register_rule`) describes a layer by these; every
method of bounding then handles it. Maps carry no batch axis of their own: a
function is called with any number of rows, `(rows, ...)`, in the dtype of the
bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf.bounds.nonlinear import Nonlinear
from hydra_tf.errors import InputError

# (rows, kernel) -> rows, or rows -> rows where there is no kernel.
LinearFunction = Callable[..., tf.Tensor]


class Linear:
    """`function(x, kernel) + bias`, linear in `x` and in `kernel`.

    Args:
        function: Callable `(x, kernel)`, or `(x)` if there is no kernel. Output
            entries must be sums of products of one entry of `x` and one of
            `kernel`, so that `function(x, |kernel|)` is the map of the absolute
            weights. Without a kernel, the map's own weights must not be
            negative (a mean, a reshaping, a padding with zeros).
        kernel: Tensor or variable; `None` for none.
        bias: Tensor or variable that broadcasts against an output row; `None`
            for none.
        transpose: Callable `(rows, kernel, input_shape)`, or `(rows,
            input_shape)`, the transposed map; `input_shape` is that of one
            input row. By default it is derived from `function` by automatic
            differentiation.
        diagonal: Whether every output entry depends on one input entry at most,
            and no two on the same one.

    Example:

    >>> operation = Linear(lambda x, scale: x * scale, kernel=tf.constant([2.]))
    >>> operation(tf.constant([[3.0]])).numpy().tolist()
    [[6.0]]
    """

    def __init__(
        self,
        function: LinearFunction,
        kernel: Any = None,
        bias: Any = None,
        transpose: LinearFunction | None = None,
        *,
        diagonal: bool = False,
    ):
        self._function = function
        self._kernel = kernel
        self._transpose = transpose
        self.bias = bias
        self.diagonal = diagonal

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the operation's value for rows."""
        outputs = self._function(x, *self._kernel_as(x.dtype))
        if self.bias is None:
            return outputs
        bias = tf.cast(self.bias, x.dtype)
        if bias.shape.rank == 1 and bias.shape[0] == outputs.shape[-1]:
            # TensorFlow merges this, and its gradient, with convolutions.
            return tf.nn.bias_add(outputs, bias)
        return outputs + bias

    def absolute(self, x: tf.Tensor) -> tf.Tensor:
        """Returns rows mapped by the absolute weights, without the bias."""
        return self._function(
            x, *(tf.abs(kernel) for kernel in self._kernel_as(x.dtype))
        )

    def transpose(
        self, rows: tf.Tensor, input_shape: Sequence[int]
    ) -> tf.Tensor:
        """Returns rows mapped by the transposed weights.

        Args:
            rows: Tensor of shape `(rows, ...)`, the shape of the outputs.
            input_shape: Shape of one row of the result.
        """
        kernel = self._kernel_as(rows.dtype)
        if self._transpose is not None:
            return self._transpose(rows, *kernel, tuple(input_shape))
        with tf.GradientTape() as tape:
            x = tf.zeros([tf.shape(rows)[0], *input_shape], rows.dtype)
            tape.watch(x)
            outputs = self._function(x, *kernel)
        return tape.gradient(
            outputs,
            x,
            output_gradients=rows,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    def _kernel_as(self, dtype: tf.DType) -> list[tf.Tensor]:
        if self._kernel is None:
            return []
        return [tf.cast(self._kernel, dtype)]


class Scale(Linear):
    """Every entry times a factor.

    Args:
        factor: Tensor that broadcasts against a row.
        bias: What is added then; broadcasts against a row.
    """

    def __init__(self, factor: Any, bias: Any = None):
        self.factor = factor
        super().__init__(
            lambda x, factor: x * factor,
            kernel=factor,
            bias=bias,
            transpose=lambda rows, factor, _: rows * factor,
            diagonal=True,
        )


class LeakyReLU:
    """`max(x, slope * x)` with a slope in [0, 1]; ReLU for slope 0.

    Args:
        negative_slope: Float in [0, 1].
    """

    def __init__(self, negative_slope: float = 0.0):
        if not 0 <= negative_slope <= 1:
            raise InputError(
                "`negative_slope` must be in [0, 1]. "
                f"Received: {negative_slope}"
            )
        # TensorFlow rounds it to float32, also for an input in float64.
        self.negative_slope = float(np.float32(negative_slope))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if self.negative_slope == 0:
            return tf.nn.relu(x)
        return tf.nn.leaky_relu(x, self.negative_slope)


class Monotone:
    """A function whose outputs never fall when an input rises.

    Intervals pass exactly. CROWN and symbolic intervals continue from the
    interval of the outputs, which is sound, but forgets how these depend on the
    network's input: `Activation` keeps that for a function of each entry.

    Args:
        function: Callable on rows, such as a cumulative sum.
    """

    def __init__(self, function: Callable[[tf.Tensor], tf.Tensor]):
        self._function = function

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self._function(x)


class WeightedSum:
    """`sum_i weights[i] * x_i` over several inputs of one shape.

    Args:
        weights: One float for each input.
    """

    def __init__(self, weights: Sequence[float]):
        self.weights = tuple(float(weight) for weight in weights)

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        return tf.add_n(
            [w * x for w, x in zip(self.weights, inputs, strict=True)]
        )


class Concatenation:
    """Several inputs concatenated.

    Args:
        axis: Axis of the rows, not 0, which is that of the batch.
    """

    def __init__(self, axis: int = -1):
        self.axis = axis

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        return tf.concat(inputs, self.axis)


Operation = (
    Linear | LeakyReLU | Monotone | WeightedSum | Concatenation | Nonlinear
)
OPERATIONS = (
    Linear,
    LeakyReLU,
    Monotone,
    WeightedSum,
    Concatenation,
    Nonlinear,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Applied:
    """An operation with what it reads, of a layer that computes no sequence.

    Attributes:
        operation: What is computed.
        inputs: For each input of the operation the number of an input of the
            layer, or what computes it.
        name: What it is called within the layer; none for the layer's result.
    """

    operation: Operation
    inputs: Sequence[int | Applied]
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.operation, OPERATIONS):
            raise InputError(
                "`operation` must be one of hydra_tf.bounds, such as Linear. "
                f"Received: {self.operation!r}"
            )
        if not self.inputs or not all(
            isinstance(each, int | Applied) for each in self.inputs
        ):
            raise InputError(
                "`inputs` must be numbers of the layer's inputs, from 0, or "
                f"what is Applied. Received: {self.inputs!r}"
            )
