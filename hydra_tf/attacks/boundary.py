"""The nearest point, within the image range, on a plane.

Where a network is taken for linear, the images between two classes are a plane.
The way there is bounded by the range in every pixel: how far one goes is a
concave function of a single number, which Newton's method finds exactly and in
a few steps, without sorting the pixels.
"""

from __future__ import annotations

import tensorflow as tf

from hydra_tf.attacks import noise

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
    room = tf.where(direction > 0, clip[1] - points, points - clip[0])
    room = tf.nn.relu(room)
    # A value moves by `speed * time`, until its room is used up.
    speed = tf.ones_like(weight) if threat_model == "linf" else weight
    arrival = tf.where(weight > 0, room / speed, float("inf"))

    def next_time(time, _):
        stopped = arrival <= time
        left = distance - total(tf.where(stopped, weight * room, 0.0))
        rate = total(tf.where(stopped, 0.0, weight * speed))
        # Where all have stopped, the plane is out of reach.
        later = tf.where(rate > 0, left / rate, time)
        later = tf.maximum(time, later)
        return later, tf.reduce_any(later > time)

    time, _ = tf.while_loop(
        lambda _, moving: moving,
        next_time,
        (tf.zeros_like(distance), tf.constant(True)),
        maximum_iterations=_MOST_STEPS,
        parallel_iterations=1,
    )
    return direction * tf.where(arrival <= time, room, speed * time)
