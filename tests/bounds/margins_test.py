"""Tests of margins, certified and what leads to them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import bounds
from hydra_tf.errors import InputError
from tests import golden
from tests.bounds.golden_networks import golden_network
from tests.bounds.random_points import residual_network


@pytest.fixture(scope="module")
def images():
    return golden.load("soundness")["images"][:4]


@pytest.fixture(scope="module")
def labels():
    return golden.load("soundness")["labels"][:4]


@pytest.fixture(scope="module")
def network():
    return golden_network("N1m")


def exact_margins(network, images, labels):
    logits = np.asarray(network(images), np.float64)
    spec = bounds.margin_spec(labels, 10).numpy()
    return np.einsum("bso,bo->bs", spec, logits)


def test_input_box_is_clipped():
    x = np.array([[0.0, 0.05, 0.5, 1.0]], np.float32)
    lower, upper = bounds.input_box(x, 0.1)
    np.testing.assert_allclose(lower, [[0, 0, 0.4, 0.9]], atol=1e-7)
    np.testing.assert_allclose(upper, [[0.1, 0.15, 0.6, 1]], atol=1e-7)
    lower, upper = bounds.input_box(x, 0.1, clip=None)
    np.testing.assert_allclose(lower, x - 0.1, atol=1e-7)
    np.testing.assert_allclose(upper, x + 0.1, atol=1e-7)


def test_an_image_that_rounding_put_outside_is_in_its_box():
    x = np.array([[-1e-6, 1 + 1e-6]], np.float32)
    lower, upper = bounds.input_box(x, 0.0)
    np.testing.assert_array_equal(lower, x)
    np.testing.assert_array_equal(upper, x)


def test_margin_spec_lists_the_other_classes_in_order():
    spec = bounds.margin_spec(np.array([[2], [0]]), 4)
    logits = np.array([[1.0, 2.0, 4.0, 8.0]] * 2)
    np.testing.assert_array_equal(
        np.einsum("bso,bo->bs", spec, logits), [[3, 2, -4], [-1, -3, -7]]
    )


@pytest.mark.parametrize("method", bounds.METHODS)
def test_margins_at_radius_zero_are_the_networks(
    network, images, labels, method
):
    np.testing.assert_allclose(
        bounds.margins(network, images, labels, 0.0, method),
        exact_margins(network, images, labels),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("name", "epsilon"),
    [("N1m", 1 / 255), ("N1m", 2 / 255), ("N2m", 2 / 255), ("N3", 1 / 255)],
)
def test_linear_bounds_are_tighter_than_intervals_on_average(name, epsilon):
    arrays = golden.load("soundness")
    images, labels = arrays["images"][:8], arrays["labels"][:8]
    propagation = bounds.BoundPropagation(
        golden_network(name), *bounds.input_box(images, epsilon)
    )
    spec = bounds.margin_spec(labels, 10)
    ibp, crown_ibp, symbolic, crown = (
        np.mean(propagation.bound(method, spec, upper=False)[0])
        for method in ("ibp", "crown_ibp", "symbolic", "crown")
    )
    assert ibp < symbolic
    assert max(ibp, crown_ibp) < crown


@pytest.mark.parametrize("method", bounds.METHODS)
def test_float64_agrees_and_stays(network, images, labels, method):
    margins = bounds.margins(
        network, images.astype(np.float64), labels, 0.01, method
    )
    assert margins.dtype == tf.float64
    single = bounds.margins(network, images, labels, 0.01, method)
    assert single.dtype == tf.float32
    np.testing.assert_allclose(single, margins, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", bounds.METHODS)
def test_an_image_alone_has_the_margins_it_has_in_a_batch(
    network, images, labels, method
):
    together = bounds.margins(network, images, labels, 0.02, method)
    for i in range(len(images)):
        alone = bounds.margins(
            network, images[i : i + 1], labels[i : i + 1], 0.02, method
        )
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", bounds.METHODS)
def test_empty_batches_have_no_margins(method):
    # Dense layers: TensorFlow's convolutions of nothing have a wrong shape.
    network = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    images, labels = np.zeros((0, 5), np.float32), np.zeros(0, int)
    margins = bounds.margins(network, images, labels, 0.1, method)
    assert margins.shape == (0, 9)


@pytest.mark.parametrize("method", bounds.METHODS)
def test_compiled_for_any_batch_and_labels(method):
    network = residual_network(small=True)
    images = np.random.default_rng(0).random((4, 6, 5, 2), np.float32)
    labels = np.array([0, 3, 1, 2])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 6, 5, 2]),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([]),
        ]
    )
    def margins(x, y, epsilon):
        return bounds.margins(network, x, y, epsilon, method)

    expected = bounds.margins(network, images, labels, 0.02, method)
    for count in (1, 3):
        np.testing.assert_allclose(
            margins(images[:count], labels[:count], 0.02),
            expected[:count],
            rtol=1e-5,
            atol=1e-5,
        )
    # Labels that are no class, which a trace cannot see, are never certified.
    values = margins(images, [0, -1, 4, 3], 0.0).numpy()
    np.testing.assert_array_equal(
        np.isnan(values).all(axis=1), [False, True, True, False]
    )
    assert not np.isnan(values[[0, 3]]).any()


def test_certified_where_every_margin_is_positive(network, images, labels):
    for method in bounds.METHODS:
        margins = bounds.margins(network, images, labels, 1 / 255, method)
        np.testing.assert_array_equal(
            bounds.certified(network, images, labels, 1 / 255, method),
            np.all(margins.numpy() > 0, axis=1),
        )
    certified = bounds.certified(network, images, labels, 1 / 255)
    assert certified.dtype == tf.bool and np.any(certified)


def test_a_wrong_prediction_is_never_certified(network, images):
    wrong = (np.argmax(network(images), axis=1) + 1) % 10
    assert not np.any(bounds.certified(network, images, wrong, 0.0))


def test_without_limits_boxes_are_larger(network, images, labels):
    clipped = bounds.margins(network, images, labels, 0.05, "ibp")
    free = bounds.margins(network, images, labels, 0.05, "ibp", clip=None)
    assert np.all(free <= clipped + 1e-5) and np.mean(free - clipped) < -1e-3


def test_robust_models_and_wrappers_count_as_their_networks(
    network, images, labels
):
    class View:
        def __init__(self, network):
            self.network = network

    class Callable(View):
        def __call__(self, x):
            return self.network(2 * x)

    class Model(keras.Model, View):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def call(self, x):
            return self.network(2 * x)

    expected = bounds.margins(network, images, labels, 0.01)
    robust = ht.RobustModel(network, ht.objectives.Natural())
    for model in (robust, View(robust), View(network)):
        np.testing.assert_array_equal(
            bounds.margins(model, images, labels, 0.01), expected
        )
    for model in (Callable(network), Model(network), View(Callable(network))):
        with pytest.raises(InputError, match="wrapper does around its"):
            bounds.margins(model, images, labels, 0.01)
