"""Where input and output channels lie in a kernel."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class KernelAxes:
    """The axes of a kernel that belong to channels.

    Axes are counted from the end, in ascending order.

    Attributes:
        shape: Shape of the kernel.
        inputs: Axes of the input channels.
        outputs: Axes of the output channels; of a depthwise kernel, `(height,
            width, channels, multiplier)`, the input channels' and one more.
    """

    shape: tuple[int, ...]
    inputs: tuple[int, ...] = (-2,)
    outputs: tuple[int, ...] = (-1,)

    @property
    def weights(self) -> tuple[int, ...]:
        """All axes."""
        return tuple(range(-len(self.shape), 0))

    @property
    def depthwise(self) -> bool:
        """Whether an output channel reads one input channel only."""
        return set(self.inputs) <= set(self.outputs)

    @property
    def num_inputs(self) -> int:
        """Number of input channels."""
        return self.count(self.inputs)

    @property
    def num_inputs_in_blocks(self) -> int:
        """Number of input channels that N:M cuts into blocks of M.

        Along the last of their axes, if they lie along several.
        """
        return self.shape[self.inputs[-1]]

    @property
    def num_outputs(self) -> int:
        """Number of output channels."""
        return self.count(self.outputs)

    @property
    def fan_in(self) -> int:
        """Number of weights that make one output."""
        return math.prod(self.shape) // self.num_outputs

    def count(self, axes: tuple[int, ...]) -> int:
        """Returns the number of channels along some axes."""
        return math.prod(self.shape[axis] for axis in axes)

    def along(self, axes: tuple[int, ...], vector: tf.Tensor) -> tf.Tensor:
        """Shapes one value a channel to broadcast over the kernel."""
        return tf.reshape(
            vector,
            [
                size if axis in axes else 1
                for axis, size in zip(self.weights, self.shape, strict=True)
            ],
        )

    def unfolded(self, kernel: np.ndarray) -> np.ndarray:
        """Returns a kernel as `(..., inputs, outputs)`.

        A depthwise one as `(..., channels, multiplier)`.
        """
        order, sizes = self._channels_last
        return np.transpose(kernel, order).reshape(sizes)

    def folded(self, values: np.ndarray) -> np.ndarray:
        """Returns the kernel of what `unfolded` made of it."""
        order, _ = self._channels_last
        values = values.reshape([self.shape[axis] for axis in order])
        return np.transpose(values, np.argsort(np.array(order) % len(order)))

    @property
    def _channels_last(self) -> tuple[list[int], list[int]]:
        """The axes with those of channels last, and sizes as one axis each."""
        outputs = [axis for axis in self.outputs if axis not in self.inputs]
        channels = [*self.inputs, *outputs]
        others = [axis for axis in self.weights if axis not in channels]
        return [*others, *channels], [
            *(self.shape[axis] for axis in others),
            self.num_inputs,
            math.prod(self.shape[axis] for axis in outputs),
        ]

    def sums(self, axes: tuple[int, ...], values: tf.Tensor) -> tf.Tensor:
        """Returns the sum of values of the kernel's shape for each channel."""
        others = [axis for axis in self.weights if axis not in axes]
        return tf.reshape(tf.reduce_sum(values, axis=others), [-1])
