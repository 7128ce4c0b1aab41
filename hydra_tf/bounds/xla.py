"""Elementwise steps that XLA fuses into one loop, where that pays.

TensorFlow's kernels read and write the whole tensor for every operation; on
feature maps of a batch that costs as much as a convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Fewer numbers than these are not worth a compilation.
MIN_NUMBERS = 2**16
# Batch size to count with where it is not known.
USUAL_BATCH = 32


def pays(tensor: tf.Tensor, batch: int | None) -> bool:
    """Whether a step over a tensor is worth compiling.

    Inside `tf.function` it is, for large tensors; every shape is compiled once.

    Args:
        tensor: The tensor, its first axis the batch.
        batch: Size of the batch, where it is known.
    """
    count = tensor.shape[1:].num_elements()
    if not tf.is_symbolic_tensor(tensor) or count is None:
        return False
    return (batch or USUAL_BATCH) * count >= MIN_NUMBERS


def where_it_pays(
    function: Callable[..., tuple[tf.Tensor, ...]],
) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Decorator that compiles a function of tensors, and its gradient.

    The gradient recomputes the function, which costs less than keeping what it
    needs.

    Args:
        function: Takes tensors, the first of which decides whether compiling
            pays, then scalars, which get no gradient; returns a tuple of
            tensors.
    """
    forward = tf.function(function, jit_compile=True, autograph=False)

    @tf.function(jit_compile=True, autograph=False)
    def backward(inputs, settings, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs, *settings)
        return tape.gradient(outputs, inputs, output_gradients=upstream)

    @tf.custom_gradient
    def compiled(*inputs):
        def gradient(*upstream):
            # Sums for gradients of scalars would cost as much as the rest.
            tensors = [each for each in inputs if each.shape.rank]
            settings = inputs[len(tensors) :]
            gradients = backward(
                captured(*tensors), captured(*settings), captured(*upstream)
            )
            return [*gradients, *(None for _ in settings)]

        return forward(*inputs), gradient

    def either(*inputs: Any) -> tuple[tf.Tensor, ...]:
        if pays(inputs[0], inputs[0].shape[0]):
            return compiled(*inputs)
        return function(*inputs)

    return either


def captured(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """Returns tensors captured by the current graph.

    What the gradient of a branch of `tf.cond` reads of the branch has to reach
    it before a compiled function is called: within the call, TensorFlow takes
    the branch for a compiled one and does not find the tensors.
    """
    return [tf.identity(tensor) for tensor in tensors]
