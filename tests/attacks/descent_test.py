"""Optimisers and step sizes of attacks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import descent

GRADIENTS = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("sgd", keras.optimizers.SGD(0.1)),
        ("adam", keras.optimizers.Adam(0.1, epsilon=1e-8)),
        ("adamax", keras.optimizers.Adamax(0.1, epsilon=1e-8)),
    ],
)
def test_points_move_as_by_the_optimiser_of_keras(name, optimizer):
    variable = keras.Variable(np.zeros((2, 3), np.float32))
    optimizer.build([variable])
    points = tf.zeros((2, 3))
    moments = descent.no_moments(name, points)
    for step, gradient in enumerate(GRADIENTS):
        optimizer.apply([gradient], [variable])
        way, moments = descent.descend(
            name, tf.constant(gradient), moments, tf.constant(step)
        )
        points -= 0.1 * way
        np.testing.assert_allclose(points, variable, atol=1e-5)


def test_step_sizes_follow_their_schedule():
    def sizes(schedule, improved):
        state = descent.StepSizes.start(2.0, tf.zeros(2))
        found = []
        for step, each in enumerate(improved):
            state = state.after(
                schedule, 2.0, tf.constant(step), tf.constant(40), each
            )
            found.append(state.size.numpy())
        return np.stack(found, axis=1)

    # Of two images, the second never improves.
    improved = [tf.constant([True, False])] * 40
    np.testing.assert_array_equal(sizes("constant", improved), 2.0)
    cosine = sizes("cosine", improved)
    np.testing.assert_array_equal(cosine[0], cosine[1])
    np.testing.assert_allclose(cosine[0, [0, 20]], [2.0, 1.01], rtol=1e-5)
    assert np.all(np.diff(cosine[0]) < 0) and cosine[0, -1] > 0.02
    plateau = sizes("plateau", improved)
    np.testing.assert_array_equal(plateau[0], 2.0)
    np.testing.assert_allclose(plateau[1, :7], [2, 2, 1, 1, 1, 0.5, 0.5])
    np.testing.assert_allclose(plateau[1, -1], 0.02)
