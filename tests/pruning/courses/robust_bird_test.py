"""The network is dense until its mask of largest magnitudes stands still."""

import numpy as np
import pytest

import hydra_tf as ht
from hydra_tf.pruning.courses.robust_bird import mask_distance
from tests.pruning.courses import driven
from tests.pruning.courses import small

pytestmark = pytest.mark.usefixtures("without_tracing")


def test_distance_counts_entries():
    one = [np.eye(2), np.zeros(4)]
    assert mask_distance(one, one) == 0
    assert mask_distance(one, [np.ones((2, 2)), np.ones(4)]) == 0.75


@pytest.mark.parametrize("granularity", ["weight", "filter"])
def test_ticket_is_drawn_after_five_masks_that_agree(granularity):
    course = driven.course_of(
        "robust_bird", density=0.5, granularity=granularity
    )
    logs = [driven.run_epoch(course, epoch) for epoch in range(6)]
    assert [each["density"] for each in logs[:4]] == [1.0] * 4
    assert "ticket_epoch" not in logs[3] and logs[3]["mask_distance"] == 1
    assert logs[4]["ticket_epoch"] == logs[5]["ticket_epoch"] == 5
    assert logs[4]["mask_distance"] < 0.08
    assert logs[5]["density"] == logs[4]["density"] < 1
    assert course.at_target
    # That of the largest magnitudes.
    for name, mask in small.kept(course).items():
        kernel = np.abs(ht.masked_layers(course.network)[name].kernel)
        if granularity == "weight":
            assert mask.mean() == 0.5
            assert kernel[mask].min() > 0.9 * kernel[~mask].max()


def test_masks_that_never_agree_are_pruned_by_the_last_renewal():
    course = driven.course_of("robust_bird", density=0.5)

    def move(course, seed):
        driven.move(course, seed, scale=10.0)

    logs = [
        driven.run_epoch(course, epoch, move=move)
        for epoch in range(course.epochs)
    ]
    assert all(each["density"] == 1 for each in logs[:7])
    assert logs[7]["ticket_epoch"] == logs[9]["ticket_epoch"] == 8
    assert logs[7]["mask_distance"] > 0.08
    assert logs[9]["density"] == pytest.approx(0.5, abs=0.01)
