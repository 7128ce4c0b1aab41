"""Feedback: all weights train, at the gradient of the pruned network."""

import numpy as np
import pytest

import hydra_tf as ht
from tests.pruning.courses import small

pytestmark = pytest.mark.usefixtures("without_tracing")

X = np.random.default_rng(0).random((8, 6, 6, 1), np.float32)
Y = np.arange(8) % 3


def test_pruned_weights_train_and_come_back():
    course = small.course(density_ramp=0, epochs=1, steps_per_epoch=1)
    course.begin()
    before = small.kept(course)
    kernels = {
        name: np.array(layer.kernel)
        for name, layer in ht.masked_layers(course.network).items()
    }
    robust = ht.RobustModel(course.network, ht.objectives.Natural())
    robust.compile(ht.training.SGD(1.0))
    robust.fit(X, Y, batch_size=8, verbose=0, callbacks=[course])
    after = small.kept(course)
    came_back = 0
    for name, layer in ht.masked_layers(course.network).items():
        kernel = np.array(layer.kernel)
        pruned = ~before[name]
        assert np.any(kernel[pruned] != kernels[name][pruned])
        number = after[name].sum()
        assert number == before[name].sum()
        order = np.argsort(-np.abs(kernel.ravel()), kind="stable")
        assert set(order[:number]) == set(np.flatnonzero(after[name]))
        came_back += np.sum(after[name] & pruned)
    assert came_back


@pytest.mark.parametrize("granularity", ["channel", "filter", "2:4"])
def test_other_granularities_move_as_well(granularity):
    settings = {"granularity": granularity}
    if granularity == "2:4":
        settings |= {"density": None, "exclude": ("conv",)}
    course = small.course(**settings)
    course.begin()
    course.update(40)
    before = course.figures()["density"]
    # The other way round, all others stay.
    for layer in ht.masked_layers(course.network).values():
        layer.kernel.assign(1 / (np.abs(layer.kernel) + 0.01))
    masks = small.kept(course)
    course.update(40)
    assert course.figures()["density"] == before < 1
    assert any(np.any(masks[n] != m) for n, m in small.kept(course).items())
