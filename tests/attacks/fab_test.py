"""FAB, towards targets and without."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import fab
from hydra_tf.errors import InputError
from tests import golden
from tests.attacks import strength

THREAT_MODELS = ("linf", "l2")


@pytest.fixture(scope="module")
def case():
    return strength.case("AA1")


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
def test_smallest_perturbations_are_those_of_the_reference(case, threat_model):
    arrays = golden.load("autoattack")
    fixed = f"AA1/fixed/{strength.NORMS[threat_model]}/fab_t_norm"
    rows = arrays["AA1/fixed/image_index"]
    expected = arrays[fixed][:, 0]  # The likeliest class besides the label.
    x = case.images[rows]
    x_adv = fab(
        case.network,
        x,
        case.labels[rows],
        epsilon=1.0 if threat_model == "linf" else 100.0,
        threat_model=threat_model,
        num_targets=1,
    )
    assert not np.any(case.robust(x_adv, rows))
    found = strength.distances(x_adv, x, threat_model)
    np.testing.assert_allclose(found, expected, rtol=0.05)
    np.testing.assert_allclose(np.mean(found), np.mean(expected), rtol=0.01)


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
def test_target_alone_and_none(case, threat_model):
    arrays = golden.load("autoattack")
    fixed = f"AA1/fixed/{strength.NORMS[threat_model]}/fab_t_norm"
    rows = arrays["AA1/fixed/image_index"][:8]
    expected = arrays[fixed][:8]
    x, y = case.images[rows], case.labels[rows]

    def distances(**settings):
        x_adv = fab(
            case.network,
            x,
            y,
            epsilon=1.0 if threat_model == "linf" else 100.0,
            threat_model=threat_model,
            **settings,
        )
        assert not np.any(case.robust(x_adv, rows))
        return strength.distances(x_adv, x, threat_model)

    np.testing.assert_allclose(
        distances(target=tf.constant(3)), expected[:, 3], rtol=0.01
    )
    # Without a target it finds the nearest of all boundaries.
    np.testing.assert_allclose(
        distances(targeted=False), np.min(expected, axis=1), rtol=0.01
    )


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
def test_finds_the_boundary_of_a_linear_network(threat_model):
    # One step suffices: the way to a plane, in a corner of the range as well.
    x = np.array([[0.5, 0.5], [0.1, 0.5]], np.float32)
    kernel = np.array([[1.0, 0.0], [0.5, 0.0]], np.float32)
    bias = np.array([0.0, 0.2], np.float32)
    x_adv = fab(
        lambda x: x @ kernel + bias,
        x,
        None,
        epsilon=1.0,
        threat_model=threat_model,
        num_steps=30,
    )
    # 0.75 and 0.35 against 0.2.
    expected = {
        "linf": [0.55 / 1.5, 0.15 / 1.5],
        "l2": [0.55 / 1.25**0.5, np.hypot(0.1, 0.1)],
    }[threat_model]
    np.testing.assert_allclose(
        strength.distances(x_adv, x, threat_model), expected, rtol=0.03
    )


@pytest.mark.parametrize(
    ("threat_model", "shape"), [("linf", (2, 9, 5, 1)), ("l2", (3, 7))]
)
def test_stays_in_the_ball_and_the_range(threat_model, shape):
    attack = functools.partial(fab, num_steps=3, num_restarts=2)
    strength.check_stays_within(attack, shape, threat_model)


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
@pytest.mark.parametrize("network", strength.DEGENERATE)
def test_degenerate_networks(threat_model, network):
    x = strength.images((3, 8, 8, 3))
    x_adv = fab(
        strength.DEGENERATE[network],
        x,
        np.zeros(3, np.int32),
        epsilon=0.1,
        threat_model=threat_model,
        num_steps=3,
    )
    strength.assert_within(x_adv, x, 0.1, threat_model)


def test_images_are_broken_or_unchanged(case):
    x, y = case.images[:48], case.labels[:48]
    x_adv = fab(case.network, x, y, epsilon=0.02, num_steps=20, num_targets=2)
    changed = strength.distances(x_adv, x, "linf") > 0
    robust = case.robust(x_adv, slice(48))
    np.testing.assert_array_equal(changed, case.right[:48] & ~robust)
    assert np.any(changed) and np.any(robust)


def test_more_restarts_and_targets_break_no_fewer(case):
    rows = np.flatnonzero(case.right)[:48]
    x, y = case.images[rows], case.labels[rows]
    few, more = (
        case.robust(
            fab(
                case.network,
                x,
                y,
                epsilon=0.01,
                num_steps=3,
                num_targets=number,
                num_restarts=number,
                seed=0,
            ),
            rows,
        )
        for number in (1, 3)
    )
    assert not np.any(more & ~few)


def test_result_of_an_image_depends_on_nothing_beside_it(case):
    settings = {
        "epsilon": 0.03,
        "num_steps": 5,
        "num_targets": 2,
        "num_restarts": 2,
        "seed": 0,
    }
    x, y = case.images[:40], case.labels[:40]
    whole = fab(case.network, x, y, **settings).numpy()
    rows = np.array([31, 4, 17, 5])
    part = fab(case.network, x[rows], y[rows], indices=rows, **settings)
    # The order of sums in the network may depend on the number of images.
    np.testing.assert_allclose(part, whole[rows], atol=1e-4)


def test_attacks_within_a_graph_with_any_number_of_images(case):
    settings = {"epsilon": 0.03, "num_steps": 3, "num_targets": 2}
    attack = tf.function(
        lambda x, y: fab(case.network, x, y, **settings),
        input_signature=[
            tf.TensorSpec([None, 16, 16, 3]),
            tf.TensorSpec([None], tf.int64),
        ],
    )
    x, y = case.images[:8], case.labels[:8]
    eager = fab(case.network, x, y, **settings)
    np.testing.assert_allclose(attack(x, y), eager, atol=1e-5)
    assert attack.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_steps": 0}, "`num_steps` must be a whole number >= 1"),
        ({"num_targets": 0}, "`num_targets` must be a whole number >= 1"),
        ({"num_restarts": 0}, "`num_restarts` must be a whole number >= 1"),
        ({"threat_model": "l1"}, "`threat_model` must be one of 'linf', 'l2'"),
        ({"target": 3}, "`target` must be below 3, the number of targets"),
        ({"target": 0, "targeted": False}, "`target` needs targeted=True"),
        ({"targeted": 1}, "`targeted` must be"),
        ({"step_size": 0.1}, r"fab\(\) has no argument `step_size`"),
    ],
)
def test_mistakes(change, words):
    x = np.zeros((1, 4), np.float32)
    with pytest.raises(InputError, match=words):
        fab(keras.layers.Flatten(), x, [0], **{"epsilon": 0.1, **change})


@pytest.mark.slow
@pytest.mark.parametrize("threat_model", THREAT_MODELS)
@pytest.mark.parametrize("name", strength.NAMES)
def test_as_strong_as_the_reference(name, threat_model):
    strength.check_against_reference("fab", fab, name, threat_model)
