"""Tests for hydra_tf.schedules."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import schedules
from hydra_tf.errors import InputError
from hydra_tf.registry.settings import Number
from tests import golden

# What a radius may be.
EPSILON = Number(name="epsilon", help="", lower=0, default=0.1)

cases = pytest.mark.parametrize("case", [0, 1])


@cases
@pytest.mark.parametrize(
    "kind, ramp",
    [("linear", schedules.LinearRamp), ("smoothed", schedules.SmoothedRamp)],
)
def test_epsilon_ramps_equal_the_original(case, kind, ramp):
    values = golden.load("schedules")
    start, end, first, last, per_epoch = values[f"eps{case}_config"][:5]
    epsilon = ramp(start / per_epoch, end / per_epoch, first, last)
    found = [epsilon(step / per_epoch) for step in values[f"eps{case}_steps"]]
    np.testing.assert_allclose(
        found, values[f"eps{case}_{kind}"], rtol=1e-6, atol=1e-12
    )


def test_the_smoothed_ramp_has_no_kink():
    ramp = schedules.SmoothedRamp(0, 1, 0, 1)
    share = lambda t: float(ramp.share(tf.constant(t, tf.float64)))  # noqa: E731
    step = 1e-6
    before = (share(0.25) - share(0.25 - step)) / step
    after = (share(0.25 + step) - share(0.25)) / step
    np.testing.assert_allclose(before, after, rtol=1e-4)
    assert share(0.0) == 0.0
    np.testing.assert_allclose(share(1.0), 1.0, rtol=1e-12)


@cases
def test_mixtrain_schedules_equal_the_original(case):
    values = golden.load("schedules")
    final, first, length, base = values[f"mixtrain{case}_config"]
    epsilon = schedules.LinearRamp(0, length, first, final)
    weight = schedules.IntervalWeight(length, base)
    expected = values[f"mixtrain{case}_interval_weight"]
    epochs = range(len(expected))
    np.testing.assert_allclose(
        [epsilon(epoch) for epoch in epochs],
        values[f"mixtrain{case}_epsilon"],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        [weight(epoch) for epoch in epochs], expected, rtol=1e-6
    )


@pytest.mark.parametrize(
    "value",
    [
        schedules.LinearRamp(1, 2, 0.0, 0.5),
        schedules.SmoothedRamp(0, 120, 0.0, 2 / 255),
        schedules.IntervalWeight(15),
    ],
)
def test_ramps_survive_serialisation(value):
    config = keras.saving.serialize_keras_object(value)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(value)
    assert twin.get_config() == value.get_config()
    assert float(twin(1.5)) == float(value(1.5))


def test_the_interval_weight_stays_finite():
    assert float(schedules.IntervalWeight(0)(1e9)) == 50.0


def test_ramps_by_the_name_of_their_shape():
    assert schedules.ramp("linear", 1, 3, 0.5) == schedules.LinearRamp(
        1, 3, 0.0, 0.5
    )
    assert isinstance(
        schedules.ramp("smoothed", 1, 3, 0.5), schedules.SmoothedRamp
    )
    with pytest.raises(InputError, match="`shape` must be one of 'linear'"):
        schedules.ramp("square", 1, 3, 0.5)


def test_a_ramp_must_end_after_it_starts():
    with pytest.raises(InputError, match="`end_epoch` must be later"):
        schedules.LinearRamp(2, 2, 0, 1)


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        (schedules.Constant(0.25), 0.25),
        (schedules.LinearRamp(1, 3, 0.5, 0.125), 0.125),
        (schedules.SmoothedRamp(0, 120, 0.0, 0.5), 0.5),
        (schedules.IntervalWeight(15), 50.0),
        (schedules.IntervalWeight(15, base=0.0), 0.0),
    ],
)
def test_the_last_value_is_that_of_a_late_epoch(schedule, last):
    assert schedule.last == last == float(schedule(1e6))
    assert schedules.value_at(schedule, None) == last


class Halves(schedules.Schedule):
    """A user's own: says neither its last value nor how it is written."""

    def __call__(self, epoch):
        return tf.maximum(2.0 ** -tf.cast(epoch, tf.float32), 0.125)

    def get_config(self):
        return {}


def test_ones_own_schedule_needs_a_call_and_a_config():
    assert schedules.as_schedule(EPSILON, Halves()) == Halves()
    assert Halves().last == 0.125
    assert repr(Halves()) == "Halves()"

    @tf.function
    def of_a_graph(epoch):
        # The last value is a number in a trace, too.
        return schedules.value_at(Halves(), epoch) + Halves().last

    assert float(of_a_graph(tf.constant(1.0))) == 0.625


def test_numbers_are_constants_that_no_graph_computes():
    constant = schedules.as_schedule(EPSILON, 1)
    assert constant == schedules.Constant(1.0)
    assert isinstance(schedules.value_at(constant, tf.constant(3.0)), float)
    assert float(constant(7)) == 1.0


def test_schedules_are_equal_by_type_and_settings():
    ramp = schedules.LinearRamp(0, 1, 0.0, 1.0)
    assert ramp == schedules.LinearRamp(0.0, 1.0, 0, 1)
    assert hash(ramp) == hash(schedules.LinearRamp(0.0, 1.0, 0, 1))
    assert ramp != schedules.SmoothedRamp(0, 1, 0.0, 1.0)
    assert ramp != schedules.LinearRamp(0, 2, 0.0, 1.0)
    assert ramp != schedules.Constant(1.0)
    assert repr(ramp) == (
        "LinearRamp(start_epoch=0.0, end_epoch=1.0, first=0.0, last=1.0)"
    )


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: schedules.Constant("2"), "`value` must be a finite number"),
        (
            lambda: schedules.LinearRamp(0, 1, 0, float("nan")),
            "`last` must be a finite number",
        ),
        (
            lambda: schedules.LinearRamp(0, float("inf"), 0, 1),
            "`end_epoch` must be a finite number",
        ),
        (
            lambda: schedules.IntervalWeight(-1),
            "`schedule_length` must be a number >= 0",
        ),
        (
            lambda: schedules.IntervalWeight(1, base=-1),
            "`base` must be a number >= 0",
        ),
        (
            lambda: schedules.as_schedule(EPSILON, -0.1),
            "`epsilon` must be a number >= 0. Received: epsilon=-0.1",
        ),
        (
            lambda: schedules.as_schedule(EPSILON, True),
            "`epsilon` must be a number >= 0",
        ),
        (
            lambda: schedules.as_schedule(EPSILON, lambda epoch: 1.0),
            "`epsilon` must be a number or a schedule of hydra_tf.schedules",
        ),
        (
            lambda: schedules.as_schedule(
                EPSILON, schedules.LinearRamp(0, 1, -1.0, 1.0)
            ),
            "`epsilon` must start and end at a number >= 0",
        ),
        (
            lambda: schedules.as_schedule(
                EPSILON, schedules.LinearRamp(0, 1, 1.0, -1.0)
            ),
            "`epsilon` must start and end at a number >= 0",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_get_one_clear_line(mistake, message):
    with pytest.raises(InputError, match=message) as error:
        mistake()
    assert "\n" not in str(error.value)
