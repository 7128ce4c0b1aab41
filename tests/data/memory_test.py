"""Batches of images that are held in memory."""

import numpy as np
import tensorflow as tf

from hydra_tf.data.memory import MemoryPipeline

SETTINGS = {
    "image_shape": (2, 2, 1),
    "class_names": ("a", "b"),
    "batch_size": 2,
    "shuffle": False,
    "augmentation": None,
    "seed": 0,
    "drop_remainder": False,
    "prefetch": False,
    "name": "own",
    "split": "train",
}
IMAGES = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1).repeat(2, 1)
IMAGES = IMAGES.repeat(2, 2)


def test_pixels_of_255_become_exactly_1():
    pipe = MemoryPipeline(IMAGES, np.array([0, 1, 0]), **SETTINGS)
    batches = [images.numpy() for images, _ in pipe]
    assert [len(batch) for batch in batches] == [2, 1]
    np.testing.assert_array_equal(np.concatenate(batches)[:, 0, 0, 0],
                                  np.float32([0, 51 / 255, 1]))  # fmt: skip


def test_encoded_images_are_decoded_batch_by_batch():
    encoded = tf.stack([tf.io.encode_png(image) for image in IMAGES])
    labels = np.array([0, 1, 0])
    pipe = MemoryPipeline(
        encoded,
        labels,
        decode=lambda image: tf.io.decode_png(image, channels=1),
        **SETTINGS,
    )
    plain = MemoryPipeline(IMAGES, labels, **SETTINGS)
    for one, other in zip(pipe.arrays(), plain.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(pipe, plain, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
