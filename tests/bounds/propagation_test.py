"""Tests of bounds as a whole: how they relate, and every way to compute them.

Wide maps and many of them are bounded in other ways than small ones, for speed
and memory: each way is made to run here, and compared with the plain one.
"""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import hydra_tf as ht
from hydra_tf.bounds import compilation
from hydra_tf.bounds import propagation
from hydra_tf.bounds import windows
from hydra_tf.errors import InputError
from tests.bounds.golden_networks import golden_network
from tests.bounds.random_points import METHODS
from tests.bounds.random_points import bounds_by
from tests.bounds.random_points import random_box
from tests.bounds.random_points import set_random_weights


def make_network(seed=0, *, small=False):
    """Returns a residual network, if not small with all kinds of operations."""
    inputs = keras.Input((6, 5, 2))
    x = layers.ZeroPadding2D(((1, 0), (1, 1)))(inputs)
    x = layers.Conv2D(4, 3, (1, 2), groups=2, activation="relu")(x)
    x = layers.BatchNormalization()(x)
    y = layers.Conv2D(4, 3, padding="same", name="inner")(x)
    y = layers.LeakyReLU(negative_slope=0.1)(y)
    y = layers.Conv2D(4, 2, padding="same", dilation_rate=2)(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    if small:
        x = layers.Dense(4)(layers.Flatten()(x))
        return set_random_weights(keras.Model(inputs, x), seed)
    x = layers.Concatenate()([x, layers.Conv2D(2, 1, activation="tanh")(x)])
    x = layers.AveragePooling2D(2, 1)(x)
    x = layers.Conv2D(3, 2, activation="relu")(x)
    x = layers.Dense(4)(layers.Flatten()(x))
    return set_random_weights(keras.Model(inputs, x), seed)


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def small_network():
    return make_network(small=True)


@pytest.fixture(scope="module")
def box(network):
    return random_box(network, batch=3)


@contextlib.contextmanager
def limits(monkeypatch, **values):
    with monkeypatch.context() as patch:
        for name, value in values.items():
            module = compilation if name == "MIN_NUMBERS" else propagation
            module = windows if name == "_MAX_SHARE" else module
            patch.setattr(module, name, value)
        yield


def all_bounds(network, box, spec=None):
    """Returns every bound by every method."""
    made = ht.bounds.BoundPropagation(network, *box)
    return {
        "ibp": made.interval(spec),
        "crown_ibp": made.crown(spec),
        "crown": made.crown(spec, "crown"),
        "symbolic": made.symbolic(spec),
        "layers": [
            made.intermediate(method) for method in ("ibp", "crown", "symbolic")
        ],
    }


def assert_equal(some, others, tolerance=1e-4):
    for one, other in zip(
        tf.nest.flatten(some), tf.nest.flatten(others), strict=True
    ):
        scale = max(1, np.abs(one).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("method", METHODS)
def test_boxes_of_one_point_have_the_outputs_as_bounds(network, method):
    x, _ = random_box(network, radius=0)
    outputs = network(x)
    for end in bounds_by(method, network, x, x):
        np.testing.assert_allclose(end, outputs, rtol=1e-5, atol=1e-5)
    double = x.astype(np.float64)
    for low, high in zip(
        *bounds_by(method, network, double, double), strict=True
    ):
        np.testing.assert_allclose(low, high, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["residual", "N1m", "N3"])
def test_interval_bounds_only_widen_with_the_box(name):
    model = make_network() if name == "residual" else golden_network(name)
    center, _ = random_box(model, radius=0)
    spec = ht.bounds.margin_spec([0, 1], model.output_shape[-1])
    for given in (None, spec):
        inner = ht.bounds.interval(model, center, center, given)
        for radius in (0.001, 0.01, 0.1, 1.0):
            outer = ht.bounds.interval(
                model, center - radius, center + radius, given
            )
            slack = 1e-5 * np.abs(outer).max()
            assert np.all(outer[0] <= inner[0] + slack)
            assert np.all(outer[1] >= inner[1] - slack)
            inner = outer


def test_a_specification_is_tighter_merged_than_from_outputs(network, box):
    spec = np.array([[[1.0, -1.0, 0.0, 0.0], [0.5, 0.0, 2.0, -1.0]]])
    positive, negative = np.maximum(spec, 0)[0], np.minimum(spec, 0)[0]
    for method in METHODS:
        lower, upper = bounds_by(method, network, *box)
        merged = bounds_by(method, network, *box, spec)
        apart = lower @ positive.T + upper @ negative.T
        assert np.all(merged[0] >= apart - 1e-4)
        assert np.mean(merged[0] - apart) > 1e-2


@pytest.mark.parametrize("method", METHODS)
def test_specifications_of_one_and_of_every_image(network, box, method):
    spec = np.random.default_rng(0).normal(size=(3, 2, 4))
    every = bounds_by(method, network, *box, spec)
    for i in range(3):
        one = bounds_by(method, network, *box, spec[i : i + 1])
        assert one[0].shape == (3, 2)
        for end, ends in zip(one, every, strict=True):
            np.testing.assert_allclose(end[i], ends[i], rtol=1e-4, atol=1e-5)


def test_lower_bounds_alone_are_those_of_both(network, box):
    spec = np.random.default_rng(0).normal(size=(1, 2, 4))
    made = ht.bounds.BoundPropagation(network, *box)
    for method in (made.interval, made.crown, made.symbolic):
        for given in (spec, None):
            both, alone = method(given), method(given, upper=False)
            np.testing.assert_allclose(alone[0], both[0], rtol=1e-5, atol=1e-5)
        assert method(spec, upper=False)[1] is None


def test_float64_agrees_with_float32(network, box):
    double = all_bounds(network, [end.astype(np.float64) for end in box])
    assert {end.dtype for end in tf.nest.flatten(double)} == {tf.float64}
    assert_equal(double, all_bounds(network, box))


@pytest.mark.parametrize(
    "values",
    [
        {"_MAX_SHARE": -1.0},  # No windows.
        {"_MAX_SHARE": 100.0},  # Windows wherever it is possible.
        {"_MAX_SHARE": 100.0, "_MAX_WINDOWS": 0},  # Image by image.
        {"_MAX_SHARE": -1.0, "_MAX_NUMBERS": 2000},  # A few rows at a time.
        {"_MAX_SHARE": 100.0, "_MAX_NUMBERS": 2000},
    ],
    ids=["maps", "windows", "images", "rows", "rows of windows"],
)
def test_every_way_to_compute_bounds_agrees(monkeypatch, network, box, values):
    expected = all_bounds(network, box)
    with limits(monkeypatch, **values):
        assert_equal(all_bounds(network, box), expected)


def gradients(network, box, method, double=False):
    """Returns a sum of bounds and its gradients to weights and boxes."""
    dtype = np.float64 if double else np.float32
    lower, upper = (tf.constant(end.astype(dtype)) for end in box)
    random = np.random.default_rng(5)
    shares = random.normal(size=(2, len(box[0]), 4)).astype(dtype)
    weights = [weight.value for weight in network.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([lower, upper])
        ends = bounds_by(method, network, lower, upper)
        total = tf.add_n(
            [tf.reduce_sum(e * s) for e, s in zip(ends, shares, strict=True)]
        )
    return total, tape.gradient(total, [*weights, lower, upper])


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("ibp", {"MIN_NUMBERS": 0}),
        ("crown_ibp", {"MIN_NUMBERS": 0}),
        ("crown_ibp", {"MIN_NUMBERS": 10**9}),
        ("crown", {"MIN_NUMBERS": 0, "_MAX_SHARE": 100.0}),
        ("symbolic", {"MIN_NUMBERS": 0, "_MAX_SHARE": -1.0}),
    ],
)
def test_compiled_functions_agree_gradients_included(
    monkeypatch, small_network, box, method, values
):
    total, expected = gradients(small_network, box, method)
    with limits(monkeypatch, **values):
        compiled_total, compiled = tf.function(
            lambda: gradients(small_network, box, method)
        )()
    np.testing.assert_allclose(compiled_total, total, rtol=1e-4)
    assert_equal(compiled, expected)


@pytest.mark.parametrize("method", ["ibp", "crown_ibp", "symbolic"])
def test_compiled_functions_of_any_batch_size(
    monkeypatch, small_network, method
):
    box = random_box(small_network, batch=4)
    expected = bounds_by(method, small_network, *box)
    with limits(monkeypatch, MIN_NUMBERS=0):
        bounds = tf.function(
            lambda lower, upper: bounds_by(method, small_network, lower, upper),
            input_signature=[tf.TensorSpec([None, 6, 5, 2])] * 2,
        )
        for count in (4, 1):
            assert_equal(
                bounds(*(end[:count] for end in box)),
                [end[:count] for end in expected],
            )


def test_branches_of_a_condition_may_hold_bounds(
    monkeypatch, small_network, box
):
    """As a weight of CROWN does that is zero in some epochs."""
    _, expected = gradients(small_network, box, "crown_ibp")

    @tf.function
    def within(condition):
        weights = [weight.value for weight in small_network.trainable_variables]
        with tf.GradientTape() as tape:
            total = tf.cond(
                condition,
                lambda: gradients(small_network, box, "crown_ibp")[0],
                lambda: 0.0,
            )
        return tape.gradient(
            total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    with limits(monkeypatch, MIN_NUMBERS=0):
        assert_equal(within(tf.constant(True)), expected[:-2])
        for gradient in within(tf.constant(False)):
            assert not np.any(gradient)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_boxes_are_those_of_finite_differences(network, method):
    box = [end.astype(np.float64) for end in random_box(network, batch=2)]
    _, found = gradients(network, box, method, double=True)
    random = np.random.default_rng(6)
    step = 1e-6
    for which in (0, 1):
        direction = random.normal(size=box[which].shape)
        totals = []
        for sign in (1, -1):
            moved = list(box)
            moved[which] = box[which] + sign * step * direction
            totals.append(gradients(network, moved, method, double=True)[0])
        np.testing.assert_allclose(
            np.sum(found[which - 2] * direction),
            (totals[0] - totals[1]) / (2 * step),
            rtol=1e-4,
        )


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_weights_are_those_of_finite_differences(method):
    network = make_network(seed=3)
    box = random_box(network, batch=2)
    _, found = gradients(network, box, method, double=True)
    weights = network.trainable_variables
    before = [weight.numpy() for weight in weights]
    # Every weight moves the bounds the same way, so that nothing cancels.
    directions = [np.sign(gradient) for gradient in found[: len(weights)]]
    totals, moved = [], []
    for step in (1e-4, -1e-4):
        for weight, value, sign in zip(
            weights, before, directions, strict=True
        ):
            weight.assign(value + step * sign)
        totals.append(gradients(network, box, method, double=True)[0])
        moved.append([weight.numpy().astype(np.float64) for weight in weights])
    change = sum(
        np.sum(gradient * (plus - minus))
        for gradient, plus, minus in zip(found, *moved, strict=False)
    )
    np.testing.assert_allclose(change, totals[0] - totals[1], rtol=1e-2)


def test_gradients_reach_scores_of_masks():
    network = ht.to_masked(make_network(), density=0.5)
    ht.set_phase(network, "prune")
    _, found = gradients(network, random_box(network), "crown_ibp")
    for weight, gradient in zip(
        network.trainable_variables, found, strict=False
    ):
        assert np.any(gradient != 0), weight.path


def test_two_replicas_bound_their_images(network):
    box = random_box(network, batch=4)
    expected = ht.bounds.crown(network, *box)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = make_network()

    @tf.function
    def bounds(lower, upper):
        return strategy.run(
            lambda low, high: ht.bounds.crown(mirrored, low, high),
            (lower, upper),
        )

    def halves(end):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                end[2 * context.replica_id_in_sync_group :][:2]
            )
        )

    ends = bounds(*map(halves, box))
    for end, other in zip(ends, expected, strict=True):
        together = tf.concat(strategy.experimental_local_results(end), 0)
        np.testing.assert_allclose(together, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda low, high: (low[:, 1:], high[:, 1:]), r"\(batch, 6, 5, 2\)"),
        (lambda low, high: (low[0], high[0]), r"\(batch, 6, 5, 2\)"),
        (lambda low, high: (low[:2], high), "`lower` and `upper` must have"),
        (lambda low, high: (high + 1, low), "`lower` must nowhere be above"),
        (lambda low, high: (low * np.nan, high), "nor be NaN"),
    ],
)
def test_bad_boxes_are_refused(network, box, change, message):
    with pytest.raises(InputError, match=message):
        ht.bounds.BoundPropagation(network, *change(*box))


@pytest.mark.parametrize(
    "shape", [(3, 4), (3, 2, 5), (2, 2, 4)], ids=["flat", "outputs", "batch"]
)
def test_bad_specifications_are_refused(network, box, shape):
    with pytest.raises(InputError, match=r"`spec` must .*\(batch, specs, 4\)"):
        ht.bounds.interval(network, *box, np.ones(shape))


def test_specifications_need_vectors_of_outputs():
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 2)])
    ends = random_box(model)
    assert ht.bounds.crown(model, *ends)[0].shape == (2, 3, 3, 2)
    with pytest.raises(InputError, match="`spec` needs a network that returns"):
        ht.bounds.crown(model, *ends, np.ones((1, 1, 2)))


def test_unknown_intermediate_bounds_are_refused(network, box):
    with pytest.raises(InputError, match="'ibp' or 'crown'.*'alpha'"):
        ht.bounds.crown(network, *box, None, "alpha")
