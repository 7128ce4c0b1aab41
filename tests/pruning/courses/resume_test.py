"""What a course keeps is all that it goes on from."""

import numpy as np
import pytest

from tests.pruning.courses import networks

pytestmark = pytest.mark.usefixtures("without_tracing")


@pytest.mark.parametrize(
    "method", ["flying_bird", "flying_bird_plus", "robust_bird", "r_admm"]
)
def test_resumed_course_is_the_uninterrupted_one(method):
    def logs(epoch):
        accuracies = {"robust_accuracy": 0.5, "val_robust_accuracy": -epoch}
        return {"loss": 1.0, **accuracies}

    course = networks.course_of(method, density=0.4, epochs=6)
    for epoch in range(3):
        networks.run_epoch(course, epoch, logs(epoch))
    resumed = networks.course_of(method, density=0.4, epochs=6)
    networks.restore(resumed, networks.state(course))
    for epoch in range(3, 6):
        for each in (course, resumed):
            figures = networks.run_epoch(each, epoch, logs(epoch))
    assert figures["density"] < 1
    for one, other in zip(
        networks.state(course), networks.state(resumed), strict=True
    ):
        np.testing.assert_array_equal(one, other)
