"""Robust accuracy over the radius."""

import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.evaluation import security_curve
from hydra_tf.evaluation.curves import curve_of

DISTANCES = np.array([0, 0.1, 0.2, 0.2, np.inf])


def test_images_farther_than_the_radius_withstand():
    curve = security_curve(DISTANCES, [0, 0.05, 0.1, 0.2, 5])
    np.testing.assert_allclose(curve, [4 / 5, 4 / 5, 3 / 5, 1 / 5, 1 / 5])
    assert security_curve([0.5], 0.4).tolist() == [1]


def test_curve_of_an_evaluation_passes_its_radius():
    curve = curve_of(DISTANCES, 0.1, "linf")
    radii = curve["radii"]
    assert radii[0] == 0 and radii[10] == 0.1 and len(radii) == 41
    assert curve["robust_accuracy"][10] == 3 / 5
    assert curve["median_distance"] == 0.2
    # No two images are farther apart than 1 in the maximum norm.
    assert max(curve_of(DISTANCES, 0.4, "linf")["radii"]) == 1
    assert max(curve_of(DISTANCES, 0.5, "l2")["radii"]) == 2


def test_nothing_found_and_no_radius():
    curve = curve_of(np.array([np.inf, np.inf, 0]), 0.0, "linf")
    assert curve["radii"] == [0]
    assert curve["robust_accuracy"] == [2 / 3]
    assert curve["median_distance"] is None


@pytest.mark.parametrize(
    ("distances", "radii", "words"),
    [
        ([], [0.1], "`distances` must hold that of one image"),
        ([0.1, np.nan], [0.1], "`distances` must hold numbers >= 0"),
        ([[0.1]], [0.1], "in one row"),
        ([0.1], [-1], "`radii` must hold numbers >= 0"),
        ([0.1], "8/255", "`radii`"),
    ],
)
def test_mistakes(distances, radii, words):
    with pytest.raises(ht.InputError, match=words):
        security_curve(distances, radii)
