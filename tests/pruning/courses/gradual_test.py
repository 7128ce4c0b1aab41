"""Gradual magnitude pruning: masks within masks."""

import numpy as np
import pytest

import hydra_tf as ht
from tests.pruning.courses import small

pytestmark = pytest.mark.usefixtures("without_tracing")

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("granularity", "allocation"),
    [
        ("weight", "uniform"),
        ("weight", "erk"),
        ("weight", "lamp"),
        ("channel", "global"),
        ("filter", "erk"),
    ],
)
def test_masks_are_nested_whatever_the_weights_become(granularity, allocation):
    course = small.course(
        method="gradual", granularity=granularity, allocation=allocation
    )
    course.begin()
    before = small.kept(course)
    densities = [course.figures()["density"]]
    for step in (8, 16, 24):
        for layer in ht.masked_layers(course.network).values():
            shape = layer.kernel.shape
            layer.kernel.assign(RNG.normal(size=shape) * (step % 3))
        course.update(step)
        after = small.kept(course)
        assert all(np.all(before[n] >= after[n]) for n in after)
        before = after
        densities.append(course.figures()["density"])
    assert densities[0] == 1.0 > densities[1] >= densities[2] >= densities[3]


def test_pruned_weights_stay_where_they_are():
    course = small.course(
        method="gradual", density_ramp=0, epochs=1, steps_per_epoch=1
    )
    course.begin()
    kept = small.kept(course)
    kernel = course.network.get_layer("logits").kernel
    before = np.array(kernel)
    robust = ht.RobustModel(course.network, ht.objectives.Natural())
    robust.compile(ht.training.SGD(1.0, weight_decay=0.1))
    x = RNG.random((8, 6, 6, 1), np.float32)
    robust.fit(x, np.arange(8) % 3, batch_size=8, verbose=0, callbacks=[course])
    changed = np.array(kernel) != before
    assert np.any(changed) and not np.any(changed & ~kept["logits"])
