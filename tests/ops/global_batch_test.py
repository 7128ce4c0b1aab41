"""Which rows of the global batch a replica has."""

import tensorflow as tf

from hydra_tf.ops.global_batch import Part
from hydra_tf.ops.global_batch import part_of
from hydra_tf.ops.global_batch import taken


def test_one_device_has_all_rows():
    assert part_of(5) == Part(0, 5, 5)


def test_what_was_taken_holds_within():
    part = Part(3, 2, 5)
    with taken(part):
        assert part_of(tf.constant(2)) is part
    assert part_of(2) == Part(0, 2, 2)
