"""What the replicas of a worker get of its batches."""

import tensorflow as tf

from hydra_tf.training.shares import divided


def rows(dataset):
    return [x.numpy().tolist() for x, _ in dataset]


def test_every_batch_is_one_part_for_each_replica():
    batches = tf.data.Dataset.range(7).map(lambda i: (i, -i)).batch(3)
    assert rows(divided(batches, 2)) == [[0, 1], [2], [3, 4], [5], [6], []]


def test_one_replica_gets_the_batches_as_they_are():
    batches = tf.data.Dataset.range(4).map(lambda i: (i, -i)).batch(2)
    assert divided(batches, 1) is batches
