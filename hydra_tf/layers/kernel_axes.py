"""Where input and output channels lie in a kernel."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class KernelAxes:
    """The axes of a kernel that belong to channels.

    Args:
        shape: Shape of the kernel.
        input_axis: Axis of the input channels, counted from the end.
        output_axis: Axis of the output channels, counted from the end.
    """

    # Whether an output channel reads one input channel only, by weights that
    # belong to both.
    depthwise = False

    def __init__(
        self,
        shape: tuple[int, ...],
        input_axis: int = -2,
        output_axis: int = -1,
    ) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.input_axis = input_axis
        self.output_axis = output_axis

    @property
    def num_inputs(self) -> int:
        """Number of input channels."""
        return self.shape[self.input_axis]

    @property
    def num_outputs(self) -> int:
        """Number of output channels."""
        return self.shape[self.output_axis]

    @property
    def fan_in(self) -> int:
        """Number of weights that make one output."""
        return int(np.prod(self.shape)) // self.num_outputs

    def along_inputs(self, vector: tf.Tensor) -> tf.Tensor:
        """Shapes one value an input channel to broadcast over the kernel."""
        return tf.reshape(vector, [-1] + [1] * (-1 - self.input_axis))

    def along_outputs(self, vector: tf.Tensor) -> tf.Tensor:
        """Shapes one value an output channel to broadcast over the kernel."""
        return tf.reshape(vector, [-1] + [1] * (-1 - self.output_axis))

    def sum_of_inputs(self, values: np.ndarray) -> np.ndarray:
        """Sums up values of the kernel's shape for each input channel."""
        return self._sum_but(self.input_axis, values)

    def sum_of_outputs(self, values: np.ndarray) -> np.ndarray:
        """Sums up values of the kernel's shape for each output channel."""
        return self._sum_but(self.output_axis, values)

    def _sum_but(self, axis: int, values: np.ndarray) -> np.ndarray:
        rank = len(self.shape)
        others = tuple(i for i in range(rank) if i != axis % rank)
        return values.sum(axis=others)


class DepthwiseAxes(KernelAxes):
    """Those of a depthwise kernel, `(height, width, channels, multiplier)`."""

    depthwise = True

    @property
    def num_outputs(self) -> int:
        return self.shape[-2] * self.shape[-1]

    def along_outputs(self, vector: tf.Tensor) -> tf.Tensor:
        return tf.reshape(vector, self.shape[-2:])

    def sum_of_outputs(self, values: np.ndarray) -> np.ndarray:
        return values.sum(axis=(0, 1)).reshape(-1)
