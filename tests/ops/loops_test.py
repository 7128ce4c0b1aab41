"""Loops in a graph: order, shapes, gradients, and errors in them."""

import pytest
import tensorflow as tf

from hydra_tf.ops.loops import map_in_order


def test_every_item_is_mapped_in_order():
    @tf.function
    def run(items):
        return map_in_order(
            lambda item: (item * 2, tf.fill([3], item)),
            items,
            (tf.int32, tf.int32),
        )

    doubled, filled = run(tf.constant([1, 5, 2]))
    assert doubled.numpy().tolist() == [2, 10, 4]
    assert filled.numpy().tolist() == [[1] * 3, [5] * 3, [2] * 3]


def test_gradients_pass():
    factor = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        (squares,) = map_in_order(
            lambda item: (factor * item**2,),
            tf.constant([1.0, 2.0]),
            (tf.float32,),
        )
        total = tf.reduce_sum(squares)
    assert float(tape.gradient(total, factor)) == 5.0


def test_an_error_in_it_leaves_strategies_usable():
    @tf.function
    def run(items):
        def fail(item):
            raise ValueError("no such item")

        return map_in_order(fail, items, (tf.int32,))

    with pytest.raises(ValueError, match="no such item"):
        run(tf.constant([1, 2]))
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        assert tf.Variable(2.0).numpy() == 2.0
