"""Rounding to 8-bit integers and back, transparent to gradients.

Quantisation-aware training computes with the values that an integer network
will have, and trains the float ones behind them.

Reference:

- [Jacob et al., 2018](https://arxiv.org/abs/1712.05877), section 3
- [Bengio et al., 2013](https://arxiv.org/abs/1308.3432), straight-through
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

# Integers of weights are symmetric, so that zero is exact.
_LARGEST = 127.0
# The least range of activations: one step of it has an inverse in float32.
_LEAST_RANGE = 1e-20


def fake_quantized_weights(
    weights: tf.Tensor, axes: Sequence[int]
) -> tf.Tensor:
    """Returns weights rounded to int8, symmetric and one scale per channel.

    The scale is the largest absolute weight of a channel over 127, as that of
    LiteRT; zeros stay exactly zero. Batch normalisation that is folded into
    the weights afterwards scales channels, and so leaves the integers as they
    are.

    Args:
        weights: Float tensor of any shape.
        axes: The axes of the output channels.

    Returns:
        Tensor like `weights`, with the gradient of `weights` itself.

    Example:

    >>> kernel = tf.constant([[1.27, 0.005], [0.004, 0.0]])
    >>> rounded = fake_quantized_weights(kernel, [1]).numpy()
    >>> rounded.astype(float).round(4).tolist()
    [[1.27, 0.005], [0.0, 0.0]]
    """
    rank = weights.shape.rank
    kept = {axis % rank for axis in axes}
    largest = tf.reduce_max(
        tf.abs(weights),
        axis=[axis for axis in range(rank) if axis not in kept],
        keepdims=True,
    )
    scale = largest / _LARGEST
    # Of a channel without weights, too.
    rounded = tf.round(tf.math.divide_no_nan(weights, scale)) * scale
    return weights + tf.stop_gradient(rounded - weights)


def fake_quantized_activations(values: tf.Tensor) -> tf.Tensor:
    """Returns activations rounded to 256 steps between their extremes.

    The range, one for the whole tensor, is widened to include zero, and zero
    is one of its steps.

    Args:
        values: Float tensor of any shape.

    Returns:
        Tensor like `values`, with the gradient of `values` itself.
    """
    exact = tf.cast(values, tf.float32)
    rounded = tf.quantization.fake_quant_with_min_max_vars(
        exact,
        tf.minimum(tf.reduce_min(exact), 0.0),
        tf.maximum(tf.reduce_max(exact), _LEAST_RANGE),
    )
    return values + tf.stop_gradient(tf.cast(rounded, values.dtype) - values)
