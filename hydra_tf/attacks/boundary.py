"""The nearest point, within the image range, on a plane.

Where a network is taken for linear, the images between two classes are a plane.
The way there is bounded by the range in every pixel: how far one goes is a
concave function of a single number, which Newton's method finds exactly and in
a few steps, without sorting the pixels.
"""

from __future__ import annotations

import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.ops.rows import choose

# Each step finds at least one more pixel at its limit; seldom are ten needed.
_MOST_STEPS = 100


def way_to_plane(
    points: tf.Tensor,
    normal: tf.Tensor,
    offset: tf.Tensor,
    threat_model: str,
    clip: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """Returns the shortest ways from points to planes, within a range.

    Args:
        points: Float32 tensor of shape `(batch, ...)`, within `clip`.
        normal: The same, perpendicular to each plane.
        offset: Float32, shape `(batch,)`: `normal` times the point minus that
            of any point of the plane.
        threat_model: Norm that is to be least, `"linf"` or `"l2"`.
        clip: Least and largest value.

    Returns:
        The ways, shape of `points`: added to these they give points of the
        planes, or, where the range has none, its point nearest to the plane.
        Values that the plane does not depend on stay.
    """
    axes = noise.image_axes(points)

    def total(x):
        return tf.reduce_sum(x, axis=axes, keepdims=True)

    largest = tf.reduce_max(tf.abs(normal), axis=axes, keepdims=True)
    normal = tf.math.divide_no_nan(normal, largest)
    offset = tf.reshape(offset, [-1] + [1] * len(axes))
    offset = tf.math.divide_no_nan(offset, largest)
    direction = -tf.sign(offset) * tf.sign(normal)
    weight, distance = tf.abs(normal), tf.abs(offset)
    room = choose(direction > 0, clip[1] - points, points - clip[0])
    room = tf.nn.relu(room)
    # A value moves by `speed * time`, until its room is used up; those that
    # the plane does not depend on have no direction.
    if threat_model == "linf":
        speed, rates, arrival = tf.ones_like(largest), weight, room
    else:
        speed, rates = weight, tf.square(weight)
        arrival = tf.math.divide_no_nan(room, weight)
    gains = tf.math.multiply_no_nan(room, weight)
    nothing = tf.zeros_like(weight)

    def next_time(time, stopped, _):
        left = distance - total(choose(stopped, gains, nothing))
        rate = total(choose(stopped, nothing, rates))
        # Where all have stopped, the plane is out of reach.
        later = tf.maximum(time, tf.where(rate > 0, left / rate, time))
        now_stopped = arrival <= later
        # If no other has stopped on the way, the plane is reached.
        return later, now_stopped, tf.reduce_any(now_stopped != stopped)

    start = tf.zeros_like(distance)
    time, *_ = tf.while_loop(
        lambda time, stopped, moving: moving,
        next_time,
        (start, arrival <= start, tf.constant(True)),
        maximum_iterations=_MOST_STEPS,
        parallel_iterations=1,
    )
    return direction * tf.minimum(room, speed * time)
