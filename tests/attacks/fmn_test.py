"""The fast minimum-norm attack."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import fmn
from hydra_tf.errors import InputError
from tests import golden
from tests.attacks import strength

THREAT_MODELS = ("linf", "l2")


@pytest.fixture(scope="module")
def case():
    return strength.case("AA1")


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
def test_perturbations_are_about_as_small_as_those_of_fab(case, threat_model):
    arrays = golden.load("autoattack")
    fixed = f"AA1/fixed/{strength.NORMS[threat_model]}/fab_t_norm"
    expected = np.min(arrays[fixed], axis=1)
    rows = arrays["AA1/fixed/image_index"]
    x = case.images[rows]
    x_adv = fmn(case.network, x, case.labels[rows], threat_model=threat_model)
    broken = ~case.robust(x_adv, rows)
    assert np.mean(broken) > 0.95
    ratio = (strength.distances(x_adv, x, threat_model) / expected)[broken]
    assert np.median(ratio) < 1.02
    assert np.mean(ratio) < 1.15


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
def test_finds_the_boundary_of_a_linear_network(threat_model):
    x = np.array([[0.5, 0.5], [0.6, 0.4]], np.float32)
    kernel = np.array([[1.0, 0.0], [0.5, 0.0]], np.float32)
    bias = np.array([0.0, 0.3], np.float32)
    x_adv = fmn(lambda x: x @ kernel + bias, x, None, threat_model=threat_model)
    # 0.75 and 0.8 against 0.3.
    length = {"linf": 1.5, "l2": 1.25**0.5}[threat_model]
    np.testing.assert_allclose(
        strength.distances(x_adv, x, threat_model),
        [0.45 / length, 0.5 / length],
        rtol=0.01,
    )


OPTIONS = [
    {"loss": "dlr", "direction": "steepest"},
    {"loss": "dlr", "direction": "steepest", "schedule": "plateau"},
    {"loss": "dlr", "schedule": "constant", "step_size": 0.1},
    {"loss": "ce"},
    {"loss": "dlr", "optimizer": "adam", "step_size": 0.05},
    {"loss": "ce", "optimizer": "adamax", "step_size": 0.02},
]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_find_perturbations_about_as_small(case, options):
    arrays = golden.load("autoattack")
    expected = np.min(arrays["AA1/fixed/Linf/fab_t_norm"], axis=1)
    rows = arrays["AA1/fixed/image_index"]
    x, y = case.images[rows], case.labels[rows]
    x_adv = fmn(case.network, x, y, **options)
    assert not np.any(case.robust(x_adv, rows))
    ratio = strength.distances(x_adv, x, "linf") / expected
    assert np.median(ratio) < 1.5
    plain = strength.distances(fmn(case.network, x, y), x, "linf")
    assert np.any(np.abs(plain / expected - ratio) > 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("threat_model", THREAT_MODELS)
def test_as_strong_as_the_ensemble(threat_model):
    arrays = golden.load("autoattack")
    norm = strength.NORMS[threat_model]
    for name, most in (("AA1", 0.02), ("AA2", 0.02)):
        given = strength.case(name)
        epsilon = float(arrays[f"eps_{norm}"])
        x_adv = fmn(
            given.network,
            given.images,
            given.labels,
            epsilon=epsilon,
            threat_model=threat_model,
            num_steps=200,
            loss="dlr",
            direction="steepest",
        )
        strongest = arrays[f"{name}/{norm}/accuracy_standard"].mean()
        robust = np.mean(given.robust(x_adv))
        assert strongest - 0.001 <= robust <= strongest + most


def test_images_beyond_the_radius_and_mistakes_stay(case):
    x, y = case.images[:48], case.labels[:48]
    every, near = (
        fmn(case.network, x, y, epsilon=epsilon, num_steps=30).numpy()
        for epsilon in (None, 0.02)
    )
    distances = strength.distances(every, x, "linf")
    np.testing.assert_array_equal(distances > 0, case.right[:48])
    is_near = distances <= 0.02
    assert 0 < np.sum(is_near & case.right[:48]) < np.sum(case.right[:48])
    np.testing.assert_allclose(near[is_near], every[is_near], atol=1e-6)
    np.testing.assert_array_equal(near[~is_near], x[~is_near])


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
@pytest.mark.parametrize("network", strength.DEGENERATE)
def test_degenerate_networks(threat_model, network):
    x = strength.images((3, 8, 8, 3))
    for epsilon in (0.0, 0.1):
        x_adv = fmn(
            strength.DEGENERATE[network],
            x,
            np.zeros(3, np.int32),
            epsilon=epsilon,
            threat_model=threat_model,
            num_steps=3,
        )
        strength.assert_within(x_adv, x, epsilon, threat_model)


def test_attacks_within_a_graph_with_any_number_of_images(case):
    attack = tf.function(
        lambda x, y: fmn(case.network, x, y, num_steps=5),
        input_signature=[
            tf.TensorSpec([None, 16, 16, 3]),
            tf.TensorSpec([None], tf.int64),
        ],
    )
    x, y = case.images[:8], case.labels[:8]
    whole = attack(x, y).numpy()
    np.testing.assert_allclose(attack(x[3:5], y[3:5]), whole[3:5], atol=1e-5)
    assert attack.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_steps": 0}, "`num_steps` must be a whole number >= 1"),
        ({"step_size": 0}, "`step_size` must be a number > 0"),
        ({"radius_step": 1}, "`radius_step` must be a number in"),
        ({"threat_model": "l1"}, "`threat_model` must be one of 'linf', 'l2'"),
        ({"loss": "kl"}, "`loss` must be one of 'margin', 'ce', 'dlr'"),
        ({"optimizer": "lion"}, "`optimizer` must be one of 'sgd', 'adam'"),
        ({"schedule": "linear"}, "`schedule` must be one of 'cosine'"),
        ({"direction": "sign"}, "`direction` must be one of 'unit'"),
        ({"seed": 1}, r"fmn\(\) has no argument `seed`"),
    ],
)
def test_mistakes(change, words):
    x = np.zeros((1, 4), np.float32)
    with pytest.raises(InputError, match=words):
        fmn(keras.layers.Flatten(), x, [0], **change)
