"""The top-k mask: which entries of a score tensor live.

`topk_mask` keeps the `ceil(density * n)` entries of largest magnitude. The
selection is a radix search for the smallest kept magnitude: the bit pattern of
a non-negative float grows with its value, so two histograms (the upper, then
the lower half of the bits) give the exact threshold in four passes over the
scores, at any density, with static shapes (XLA compiles it) and no sort.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hydra_tf.errors import InputError
from hydra_tf.ops.counts import kept_count
from hydra_tf.ops.counts import kept_count_of_tensor

# What the error about such scores says.
NAN_SCORES = "`scores` holds a NaN: no mask can be made of it."

# Signed integer type of the same width, and the split of the magnitude's bits
# (sign excluded) into the histogram levels of the radix search.
_LEVELS = {
    tf.float32: (tf.int32, (16, 15)),
    tf.bfloat16: (tf.int16, (15,)),
    tf.float16: (tf.int16, (15,)),
}

# Least length of the blocks that cumulative sums run over.
_BLOCK = 256


def topk_mask(scores: Any, density: Any) -> tf.Tensor:
    """Returns the mask that keeps the scores of largest magnitude.

    Exactly `ceil(density * n)` entries are one, at least one of them; where
    magnitudes tie, the entry with the lower flat (row-major) index is kept.
    Zeros, denormals and infinities are ordinary values.

    Backward the mask is the identity with respect to the magnitudes
    (straight-through): `d loss / d scores = (d loss / d mask) * sign(scores)`,
    and a density that is a tensor receives the sum of `d loss / d mask`.

    Args:
        scores: Float tensor (float32, bfloat16 or float16) of any shape with
            at least one entry.
        density: Number or scalar float tensor in (0, 1], fraction of entries
            kept.

    Returns:
        Tensor of zeros and ones with the shape and dtype of `scores`.

    Raises:
        InputError: If `density` is outside (0, 1] or a score is NaN (when
            executing eagerly; inside `tf.function` the same checks raise
            `tf.errors.InvalidArgumentError`, and under XLA, which drops
            assertions, the kept entries become NaN).
        TypeError: If the scores' dtype is not supported.

    Example:

    >>> topk_mask(tf.constant([0.5, -2.0, 1.0, 0.0]), density=0.5).numpy()
    array([0., 1., 1., 0.], dtype=float32)

    Reference:

    - [Sehwag et al., 2020](https://arxiv.org/abs/2002.10509), section 3.1
    - [Ramanujan et al., 2020](https://arxiv.org/abs/1911.13299), the
      straight-through estimator on the magnitudes of the scores
    """
    scores = _checked_scores(scores)
    size = scores.shape.num_elements()
    if size is None:
        raise InputError(
            "`scores` must have a fully defined shape. "
            f"Received: shape={scores.shape}"
        )
    if size == 0:
        raise InputError(
            f"`scores` must not be empty. Received: shape={scores.shape}"
        )
    if not (tf.is_tensor(density) or isinstance(density, tf.Variable)):
        kept = kept_count(density, size)
        return _straight_through(
            lambda scores: _select(scores, tf.constant(kept)), scores
        )
    density = tf.convert_to_tensor(density)
    if density.shape.rank != 0 or not density.dtype.is_floating:
        raise InputError(
            "`density` must be a scalar float. Received: "
            f"shape={density.shape}, dtype={density.dtype.name}"
        )
    return _straight_through_mask_of_density(scores, density)


def mask_of_count(scores: Any, count: Any) -> tf.Tensor:
    """Returns `topk_mask` for a number of entries in place of a fraction.

    Args:
        scores: As for `topk_mask`, of defined shape with at least one entry.
        count: Integer scalar tensor, how many stay; what is not between 1 and
            the number of entries counts as the nearest that is.
    """
    scores = _checked_scores(scores)
    size = scores.shape.num_elements()
    kept = tf.clip_by_value(tf.cast(count, tf.int32), 1, size)
    return _straight_through(lambda scores: _select(scores, kept), scores)


def n_of_m_mask(scores: Any, n: int, m: int, axis: int = -2) -> tf.Tensor:
    """Returns the mask that keeps `n` of every `m` entries along an axis.

    The axis is cut into consecutive blocks of `m`; in each the `n` scores of
    largest magnitude stay, of equal ones those that come first. That is the
    layout of sparse tensor cores, with the axis of the input channels.

    Backward as in `topk_mask`.

    Args:
        scores: Float tensor (float32, bfloat16 or float16) of defined shape.
        n: Integer, entries kept of each block, 0 < n < m.
        m: Integer, length of a block; divides the axis.
        axis: The axis that blocks lie along; of a kernel `(..., in, out)` the
            one before the last.

    Returns:
        Tensor of zeros and ones with the shape and dtype of `scores`.

    Raises:
        InputError: If `m` does not divide the axis or a score is NaN (inside
            `tf.function` as for `topk_mask`).
        TypeError: If the scores' dtype is not supported.

    Example:

    >>> scores = tf.constant([[4.0], [-3.0], [2.0], [1.0]])
    >>> n_of_m_mask(scores, 2, 4).numpy().ravel()
    array([1., 1., 0., 0.], dtype=float32)

    Reference:

    - [Mishra et al., 2021](https://arxiv.org/abs/2104.08378), section 3
    """
    scores = _checked_scores(scores)
    length = scores.shape[axis]
    if not 0 < n < m or length is None or length % m:
        raise InputError(
            f"`scores` must have a multiple of m={m} entries along axis {axis} "
            f"and n={n} be from 1 to {m - 1}. Received: shape={scores.shape}"
        )
    return _straight_through(
        lambda scores: _select_in_blocks(scores, n, m, axis), scores
    )


def _checked_scores(scores: Any) -> tf.Tensor:
    scores = tf.convert_to_tensor(scores)
    if scores.dtype not in _LEVELS:
        raise TypeError(
            "`scores` must be float32, bfloat16 or float16. "
            f"Received: dtype={scores.dtype.name}"
        )
    return scores


def _select_in_blocks(
    scores: tf.Tensor, n: int, m: int, axis: int
) -> tf.Tensor:
    bits, one = _magnitude_bits(_bits(scores), scores.dtype)
    axis %= scores.shape.rank
    shape = scores.shape.as_list()
    blocks = [*shape[:axis], shape[axis] // m, m, *shape[axis + 1 :]]
    entries = tf.unstack(tf.reshape(bits, blocks), axis=axis + 1)
    # An entry's rank is the number of those before it in the order. Pairwise,
    # since blocks are short: no sort, and it vectorises over the kernel.
    ranks = [tf.zeros_like(entry) for entry in entries]
    for i in range(m):
        for j in range(i + 1, m):
            first = tf.cast(entries[i] >= entries[j], tf.int32)
            ranks[j] += first
            ranks[i] += 1 - first
    kept = tf.stack([rank < n for rank in ranks], axis=axis + 1)
    return tf.where(tf.reshape(kept, shape), one, tf.zeros([], scores.dtype))


def _straight_through(
    select: Callable[[tf.Tensor], tf.Tensor], scores: tf.Tensor
) -> tf.Tensor:
    @tf.custom_gradient
    def mask_of(scores):
        return select(scores), lambda upstream: upstream * tf.sign(scores)

    return mask_of(scores)


@tf.custom_gradient
def _straight_through_mask_of_density(scores: tf.Tensor, density: tf.Tensor):
    def gradient(upstream):
        to_density = tf.reduce_sum(tf.cast(upstream, tf.float32))
        return upstream * tf.sign(scores), tf.cast(to_density, density.dtype)

    size = scores.shape.num_elements()
    return _select(scores, kept_count_of_tensor(density, size)), gradient


def _select(scores: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """Zeros, and ones where a score is among the `kept` largest magnitudes."""
    # Cumulative sums run over blocks, then inside one: fast everywhere.
    block = max(_BLOCK, 2 ** (scores.shape.num_elements().bit_length() // 2))
    select = _traced_selection(scores.dtype, block)
    # Integers, of which no tape wants a gradient.
    bits = _bits(tf.reshape(scores, [-1]))
    if not tf.executing_eagerly():
        return tf.reshape(select(bits, kept), scores.shape)
    try:
        # Also where functions run eagerly: one operation instead of sixty.
        mask = select.get_concrete_function()(bits, kept)
    except tf.errors.InvalidArgumentError:
        raise InputError(NAN_SCORES) from None
    return tf.reshape(mask, scores.shape)


@functools.cache
def _traced_selection(dtype: tf.DType, block: int) -> Any:
    """Returns the selection as one function for the bits of any vector.

    A network has dozens of masks: this one is traced, and optimised, once.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], _LEVELS[dtype][0]),
            tf.TensorSpec([], tf.int32),
        ],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def select(bits, kept):
        return _select_of_vector(bits, kept, dtype, block)

    return select


def _select_of_vector(
    bits: tf.Tensor, kept: tf.Tensor, dtype: tf.DType, block: int
) -> tf.Tensor:
    _, levels = _LEVELS[dtype]
    bits, one = _magnitude_bits(bits, dtype)
    threshold, num_ties, num_ties_kept = _radix_threshold(bits, kept, levels)

    def keep_all_ties():
        return bits >= threshold

    def keep_first_ties():
        tied = tf.equal(bits, threshold)
        last = _position_of_nth(tied, num_ties_kept, block)
        return (bits > threshold) | (tied & (tf.range(tf.size(bits)) <= last))

    selected = tf.cond(
        tf.equal(num_ties, num_ties_kept), keep_all_ties, keep_first_ties
    )
    return tf.where(selected, one, tf.zeros([], dtype))


def _bits(scores: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(scores, _LEVELS[scores.dtype][0])


def _magnitude_bits(
    bits: tf.Tensor, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor]:
    """Integers in the order of the scores' magnitudes, and the mask's one."""
    # Bitwise instead of `abs`: exact for denormals, which float operations
    # may flush to zero.
    magnitudes = tf.bitwise.bitwise_and(bits, bits.dtype.max)
    infinity = _bits(tf.constant(math.inf, dtype))
    holds_nan = tf.reduce_max(magnitudes) > infinity
    return tf.cast(magnitudes, tf.int32), _one_unless(holds_nan, dtype)


def _one_unless(holds_nan: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The mask's one; NaN scores are an error, not a mask."""
    if tf.executing_eagerly():
        if holds_nan:
            raise InputError(NAN_SCORES)
        return tf.ones([], dtype)
    assertion = tf.debugging.Assert(tf.logical_not(holds_nan), [NAN_SCORES])
    with tf.control_dependencies([assertion] if assertion is not None else []):
        return tf.where(
            holds_nan, tf.constant(math.nan, dtype), tf.ones([], dtype)
        )


def _radix_threshold(
    bits: tf.Tensor, kept: tf.Tensor, levels: tuple[int, ...]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the `kept`-th largest of non-negative integers.

    Args:
        bits: int32 vector, each entry in [0, 2 ** sum(levels)).
        kept: int32 scalar in [1, len(bits)].
        levels: Number of bits that each histogram resolves, upper bits first.

    Returns:
        The threshold, how many entries equal it, and how many of these are
        among the `kept` largest.
    """
    base = tf.constant(0)  # the threshold's bits resolved so far
    remaining = kept  # how many to keep among entries of that prefix
    shift = sum(levels)
    in_bucket = tf.size(bits)
    for level, width in enumerate(levels):
        shift -= width
        digits = bits
        if level:
            # One is added so that bin 0 collects everything below the prefix;
            # what lies above it exceeds the last bin and is not counted.
            digits = tf.maximum(bits - (base - (1 << shift)), 0)
        if shift:
            digits = tf.bitwise.right_shift(digits, shift)
        histogram = tf.raw_ops.DenseBincount(
            input=digits,
            size=(1 << width) + (1 if level else 0),
            weights=tf.constant([], tf.int32),
            binary_output=False,
        )
        if level:
            histogram = histogram[1:]
        digit, remaining, in_bucket = _nth_of_blocks(
            tf.reshape(histogram, [-1, _BLOCK]), remaining, from_top=True
        )
        base = base + tf.bitwise.left_shift(digit, shift)
    return base, in_bucket, remaining


def _position_of_nth(flags: tf.Tensor, n: tf.Tensor, block: int) -> tf.Tensor:
    """Returns the index of the `n`-th (from 1) true entry of a bool vector."""
    padding = -tf.size(flags) % block
    counts = tf.pad(tf.cast(flags, tf.int32), [[0, padding]])
    blocks = tf.reshape(counts, [-1, block])
    return _nth_of_blocks(blocks, n, from_top=False)[0]


def _nth_of_blocks(
    blocks: tf.Tensor, n: tf.Tensor, *, from_top: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`_nth` over the flattened rows of a matrix of counts."""
    block, n, _ = _nth(tf.reduce_sum(blocks, axis=1), n, from_top=from_top)
    index, n, count = _nth(tf.gather(blocks, block), n, from_top=from_top)
    return block * blocks.shape[1] + index, n, count


def _nth(
    counts: tf.Tensor, n: tf.Tensor, *, from_top: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Finds the bin of the `n`-th entry, `n`'s rank in it, and its count."""
    # `gather`, not `[index]`: XLA wants the position of a slice at compile
    # time, and would compile again for every value of the scores.
    cumulated = tf.cumsum(counts, reverse=from_top)
    num_reached = tf.reduce_sum(tf.cast(cumulated >= n, tf.int32))
    index = num_reached - 1 if from_top else tf.size(counts) - num_reached
    count = tf.gather(counts, index)
    return index, n - (tf.gather(cumulated, index) - count), count
