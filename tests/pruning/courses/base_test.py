"""When a course renews its masks, at which density, and what it watches."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.errors import InputError
from hydra_tf.pruning.courses import Course
from hydra_tf.pruning.courses.base import magnitudes
from tests.pruning.courses import small

pytestmark = pytest.mark.usefixtures("without_tracing")

X = np.random.default_rng(0).random((8, 6, 6, 1), np.float32)
Y = np.arange(8) % 3


class Watching(Course):
    """Keeps all weights, and looks at the gradients."""

    dense_gradients = True
    watches_gradients = True
    reads = ()


class Recording(Course):
    """Says after which steps it was asked for masks."""

    reads = ("mask_updates",)

    def begin(self):
        super().begin()
        self.asked = []

    def update(self, step):
        self.asked.append(step)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, (4, 8, 12, 16, 20, 24, 28, 32)),
        ({"update_share": 0.5}, (4, 8, 12, 16, 20)),
        ({"mask_updates": 3}, (11, 21, 32)),
        ({"mask_updates": 3, "update_share": 1}, (13, 27, 40)),
        (
            {"mask_updates": 999, "update_share": 0.1, "density_ramp": 0.1},
            (1, 2, 3, 4),
        ),
    ],
)
def test_updates_are_spread_over_their_share(settings, steps):
    course = small.course(method="gradual", **settings)
    assert course.update_steps == steps


def test_feedback_renews_its_masks_24_times_an_epoch():
    course = small.course(epochs=2, steps_per_epoch=240)
    assert course.update_steps[:3] == (10, 20, 30)
    assert course.update_steps[-1] == 384
    assert small.course().update_steps == tuple(range(1, 33))


def test_density_falls_by_a_cubic_to_the_target():
    course = small.course(density=0.2)
    assert course.density_at(0) == 1.0
    assert course.density_at(10) == pytest.approx(0.2 + 0.8 / 8)
    assert course.density_at(20) == course.density_at(40) == 0.2
    assert course.full_from_step == 20
    at_once = small.course(density=0.2, density_ramp=0)
    assert at_once.density_at(0) == 0.2 and at_once.full_from_step == 0
    # One update has to lead there.
    rare = small.course(density=0.2, mask_updates=1)
    assert rare.update_steps == (32,) and rare.full_from_step == 32


def test_masks_have_the_density_of_the_step():
    course = small.course(allocation="lamp")
    course.begin()
    total = sum(mask.size for mask in small.kept(course).values())
    for step in (0, 4, 8, 20, 32):
        course.update(step)
        number = sum(mask.sum() for mask in small.kept(course).values())
        assert number == ht.kept_count(course.density_at(step), total)
        assert course.figures() == {"density": number / total}


def test_given_densities_are_where_each_layer_leads():
    given = {"conv": 1.0, "next": 0.1, "logits": 0.5}
    course = small.course(allocation=given)
    assert course.densities(1.0) == dict.fromkeys(given, 1.0)
    assert course.densities(0.25) == pytest.approx(given)
    half = course.densities(0.625)
    assert half == pytest.approx({"conv": 1.0, "next": 0.55, "logits": 0.75})


@pytest.mark.parametrize("granularity", ["weight", "channel", "filter"])
def test_magnitudes_are_those_of_the_units(granularity):
    course = small.course(granularity=granularity)
    for group in course.groups:
        np.testing.assert_allclose(
            magnitudes(group), group.unit_norms, rtol=1e-6
        )


def test_updates_come_at_the_end_of_a_call_of_several_steps():
    course = small.course(method=f"{__name__}:Recording", mask_updates=8)
    course.begin()
    course.on_epoch_begin(3)
    for batch in (1, 3):
        course.on_train_batch_end(batch)
    assert course.step == 16
    assert course.asked == [16]
    course.on_epoch_begin(4)
    for batch in range(4):
        course.on_train_batch_end(batch)
    assert course.asked == [16, 20]


def gradient_of(network):
    """The gradient of the whole weights, at the masked ones."""
    kernels = [layer.kernel for layer in ht.masked_layers(network).values()]
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(
            Y, network(X), from_logits=True
        )
        loss = tf.reduce_mean(loss)
    return tape.gradient(loss, [kernel.value for kernel in kernels])


@pytest.mark.parametrize(
    "replicas", [1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_watched_gradients_are_dense_running_means(replicas):
    watching = {
        "method": f"{__name__}:Watching",
        "density": 0.3,
        "epochs": 1,
    }
    course = small.course(**watching)
    course.begin()
    expected = gradient_of(course.network)
    strategy = tf.distribute.get_strategy()
    if replicas == 2:
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        tf.config.run_functions_eagerly(False)
    try:
        with strategy.scope():
            course = small.course(**watching)
            course.begin()
            robust = ht.RobustModel(course.network, ht.objectives.Natural())
            robust.compile(ht.training.SGD(1e-9))
        robust.fit(X, Y, batch_size=8, verbose=0, callbacks=[course])
    finally:
        tf.config.run_functions_eagerly(True)
    # Also those of weights that are pruned.
    kept = sum(mask.sum() for mask in small.kept(course).values())
    assert sum(np.count_nonzero(each) for each in expected) > kept + 10
    for mean, gradient in zip(course.variables, expected, strict=True):
        np.testing.assert_allclose(
            np.asarray(mean), 0.1 * gradient, rtol=1e-4, atol=1e-8
        )


def test_weights_that_are_no_numbers_make_no_masks():
    course = small.course()
    course.begin()
    kernel = course.network.get_layer("conv").kernel
    kernel.assign(kernel * np.nan)
    with pytest.raises(InputError, match="NaN"):
        course.update(4)


def test_model_is_compiled_after_its_course_has_begun():
    course = small.course()
    robust = ht.RobustModel(course.network, ht.objectives.Natural())
    robust.compile(ht.training.SGD(0.1))
    robust.make_train_function()
    course.begin()
    # Its step would leave pruned weights out.
    with pytest.raises(InputError, match="of a course: call compile"):
        robust.fit(X, Y, verbose=0, callbacks=[course])


def test_finish_leaves_a_network_like_any_other():
    course = small.course()
    course.begin()
    layer = course.network.get_layer("next")
    assert layer.masked_kernel.trains_pruned
    course.finish()
    assert not layer.masked_kernel.trains_pruned
    assert not layer.masked_kernel.dense_gradients
