"""Functions of a user's own, named on command lines of tests."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hydra_tf import data


def arrays(count: int = 24):
    """Images of 6x5 pixels and 2 channels in three classes."""
    generator = np.random.RandomState(count)
    labels = np.arange(count) % 3
    images = generator.uniform(0, 0.4, (count, 6, 5, 2)).astype(np.float32)
    images[np.arange(count), labels] += 0.6
    return images, labels


def both():
    """Training and test arrays."""
    return arrays(24), arrays(9)


def named():
    """The same with names of the classes."""
    return arrays(24), arrays(9), ["one", "two", "three"]


def datasets():
    """The same as datasets, one in batches."""
    train, test = (tf.data.Dataset.from_tensor_slices(part) for part in both())
    return train, test.batch(4)


def pipelines():
    """The same as pipelines of settings that are replaced."""
    train, test = (
        data.from_arrays(*part, batch_size=3, seed=9) for part in both()
    )
    return train, test


def no_pair():
    """What many write at first."""
    return arrays(24)


def none():
    """Nothing."""


def raises():
    """What a mistake in the function is."""
    return {}["pictures"]


def bright():
    """Pixels of 0..255 as floats."""
    images, labels = arrays()
    return (255 * images, labels), arrays(9)


def fractional():
    """Labels that are no numbers of classes."""
    images, labels = arrays()
    return (images, labels + 0.5), arrays(9)


def other_classes():
    """A test part with a class that is unknown."""
    images, labels = arrays(9)
    return arrays(), (images, labels + 1)


def other_shapes():
    """A test part of another size."""
    images, labels = arrays(9)
    return arrays(), (images[:, 1:], labels)


def endless():
    """A dataset that does not end."""
    return tuple(each.repeat() for each in datasets())


def ragged():
    """A dataset whose images differ in size."""

    def images():
        for size in (4, 5):
            yield np.zeros((size, 4, 1), np.float32), size

    signature = (
        tf.TensorSpec((None, 4, 1), tf.float32),
        tf.TensorSpec((), tf.int32),
    )
    made = tf.data.Dataset.from_generator(images, output_signature=signature)
    return made, made


def few_names():
    """Names for too few classes."""
    return arrays(24), arrays(9), ["one", "two"]


def one_hot():
    """Labels as rows."""
    images, labels = arrays()
    return (images, np.eye(3)[labels]), arrays(9)


NOT_CALLABLE = 3
