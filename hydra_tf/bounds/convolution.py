"""Convolution in two dimensions as an operation with known geometry."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from hydra_tf.bounds.operations import Linear

# Rows of zeros above and below, columns of zeros left and right.
Padding = tuple[tuple[int, int], tuple[int, int]]

NO_PADDING: Padding = ((0, 0), (0, 0))


class ZeroPadding(Linear):
    """Zeros around an image.

    Args:
        padding: How many, by side.
    """

    def __init__(self, padding: Padding):
        self.padding = padding
        super().__init__(
            self._pad,
            transpose=lambda rows, shape: self._crop(rows, shape),
            diagonal=True,
        )

    def _pad(self, x: tf.Tensor) -> tf.Tensor:
        return tf.pad(x, [(0, 0), *self.padding, (0, 0)])

    def _crop(self, rows: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
        (top, _), (left, _) = self.padding
        height, width, _ = shape
        return rows[:, top : top + height, left : left + width]


class Convolution(Linear):
    """A two-dimensional convolution of images with the channels last.

    Args:
        kernel: Tensor `(height, width, channels / groups, filters)`.
        bias: Tensor `(filters,)`, or `None`.
        strides: Of rows and of columns.
        padding: Zeros around the image.
        dilations: Of rows and of columns.
        groups: Number of groups.
    """

    def __init__(
        self,
        kernel: tf.Tensor,
        bias: tf.Tensor | None,
        *,
        strides: tuple[int, int],
        padding: Padding = NO_PADDING,
        dilations: tuple[int, int] = (1, 1),
        groups: int = 1,
    ):
        self.kernel = kernel
        self.strides = strides
        self.padding = padding
        self.dilations = dilations
        self.groups = groups
        super().__init__(
            self.convolve,
            kernel=kernel,
            bias=bias,
            # TensorFlow has no transposed dilated convolution on CPU.
            transpose=self._transposed if max(dilations) == 1 else None,
        )

    def padded(self, padding: Padding) -> Convolution:
        """Returns the convolution of an image that is padded before it."""
        (top, bottom), (left, right) = self.padding
        (more_top, more_bottom), (more_left, more_right) = padding
        return self._with_padding(
            (
                (top + more_top, bottom + more_bottom),
                (left + more_left, right + more_right),
            )
        )

    def without_padding(self) -> Convolution:
        """Returns the convolution of an image that is not padded."""
        return self._with_padding(NO_PADDING)

    def _with_padding(self, padding: Padding) -> Convolution:
        return Convolution(
            self.kernel,
            self.bias,
            strides=self.strides,
            padding=padding,
            dilations=self.dilations,
            groups=self.groups,
        )

    def convolve(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Returns images convolved with a kernel, without the bias."""
        padding: Any = [(0, 0), *self.padding, (0, 0)]
        if self.padding == NO_PADDING:
            padding = "VALID"
        elif max(self.dilations) > 1:
            x, padding = tf.pad(x, padding), "VALID"
        elif self._is_same(x.shape[1:3], kernel.shape[:2]):
            padding = "SAME"
        # In groups one by one: on CPU they have no gradients otherwise.
        parts = [
            tf.nn.convolution(
                part, part_kernel, self.strides, padding, None, self.dilations
            )
            if isinstance(padding, str)
            else tf.nn.conv2d(part, part_kernel, self.strides, padding)
            for part, part_kernel in self._groups(x, kernel)
        ]
        return parts[0] if self.groups == 1 else tf.concat(parts, -1)

    def _transposed(
        self, rows: tf.Tensor, kernel: tf.Tensor, input_shape: tuple[int, ...]
    ) -> tf.Tensor:
        height, width, channels = input_shape
        shape = [tf.shape(rows)[0], height, width, channels // self.groups]
        padding: Any = [(0, 0), *self.padding, (0, 0)]
        if self.padding == NO_PADDING:
            padding = "VALID"
        elif self._is_same((height, width), kernel.shape[:2]):
            padding = "SAME"
        parts = [
            tf.nn.conv2d_transpose(
                part, part_kernel, shape, self.strides, padding
            )
            for part, part_kernel in self._groups(rows, kernel)
        ]
        return parts[0] if self.groups == 1 else tf.concat(parts, -1)

    def _groups(self, x: tf.Tensor, kernel: tf.Tensor) -> Any:
        if self.groups == 1:
            return [(x, kernel)]
        return zip(
            tf.split(x, self.groups, -1),
            tf.split(kernel, self.groups, -1),
            strict=True,
        )

    def _is_same(self, image: Any, window: Any) -> bool:
        """Whether the padding is TensorFlow's `"SAME"`, which is faster."""
        return self.padding == same_padding(
            image, window, self.strides, self.dilations
        )


def same_padding(
    image: Any, window: Any, strides: Any, dilations: Any
) -> Padding:
    """Returns what TensorFlow pads an image with for `"SAME"`.

    Args:
        image: Height and width of the image.
        window: Height and width of the kernel.
        strides: Of rows and of columns.
        dilations: Of rows and of columns.
    """
    sides = []
    for size, length, stride, dilation in zip(
        image, window, strides, dilations, strict=True
    ):
        reach = (length - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        sides.append((total // 2, total - total // 2))
    return sides[0], sides[1]
