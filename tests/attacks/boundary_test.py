"""The nearest point on a plane, within the range of images."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks.boundary import way_to_plane
from tests import golden

ORDERS = {"linf": np.inf, "l2": 2}
CLIP = (tf.constant(0.0), tf.constant(1.0))


def way(points, normal, offset, threat_model, clip=CLIP):
    arguments = (tf.constant(each, tf.float32) for each in (points, normal))
    offset = tf.constant(offset, tf.float32)
    return way_to_plane(*arguments, offset, threat_model, clip).numpy()


@pytest.mark.parametrize("threat_model", ORDERS)
def test_ways_match_golden(threat_model):
    arrays = golden.load("autoattack")
    points, w, b = (arrays[f"unit/proj/{key}"] for key in ("points", "w", "b"))
    found = way(points, w, np.sum(w * points, 1) - b, threat_model)
    np.testing.assert_allclose(
        found, arrays[f"unit/proj/{threat_model}"], rtol=0, atol=1e-6
    )
    # The first rows cannot reach their planes.
    np.testing.assert_allclose(
        np.sum(w * (points + found), 1)[8:], b[8:], atol=1e-5
    )


@pytest.mark.parametrize(
    ("threat_model", "expected"),
    [
        # 3 a + 4 b must fall by 1.
        ("linf", [[-1 / 7, -1 / 7, 0.0]]),
        ("l2", [[-3 / 25, -4 / 25, 0.0]]),
    ],
)
def test_the_shortest_way(threat_model, expected):
    found = way([[0.5, 0.5, 0.5]], [[3.0, 4.0, 0.0]], [1.0], threat_model)
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("threat_model", ORDERS)
def test_pixels_at_the_end_of_the_range_leave_the_way_to_others(threat_model):
    found = way([[0.0, 0.5]], [[1.0, 1.0]], [0.25], threat_model)
    np.testing.assert_allclose(found, [[0.0, -0.25]], atol=1e-7)
    unreachable = way([[0.1, 0.5]], [[1.0, -2.0]], [9.0], threat_model)
    np.testing.assert_allclose(unreachable, [[-0.1, 0.5]], atol=1e-7)


@pytest.mark.parametrize("threat_model", ORDERS)
def test_planes_without_direction_and_tiny_ones(threat_model):
    found = way(
        [[0.5, 0.5]] * 3,
        [[0.0, 0.0], [1e-30, 1e-30], [1e-30, 1e-30]],
        [1.0, 2e-31, 1.0],
        threat_model,
    )
    np.testing.assert_allclose(
        found, [[0, 0], [-0.1, -0.1], [-0.5, -0.5]], atol=1e-6
    )


@pytest.mark.parametrize("threat_model", ORDERS)
def test_without_limits(threat_model):
    infinity = tf.constant(np.inf, tf.float32)
    found = way(
        [[0.0, 0.0]], [[1.0, 1.0]], [8.0], threat_model, (-infinity, infinity)
    )
    np.testing.assert_allclose(found, [[-4.0, -4.0]])
