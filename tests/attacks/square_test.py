"""Square Attack."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import pgd
from hydra_tf.attacks import square
from hydra_tf.attacks.square import bump
from hydra_tf.attacks.square import halvings
from hydra_tf.attacks.square import sides
from hydra_tf.errors import InputError
from tests import golden
from tests.attacks import strength

THREAT_MODELS = ("linf", "l2")


@pytest.fixture(scope="module")
def case():
    return strength.case("AA1")


def test_schedule_of_the_squares_matches_golden():
    arrays = golden.load("autoattack")
    queries = arrays["unit/square/iterations"]
    shares = [0.8 / 2 ** halvings(query, 5000).numpy() for query in queries]
    np.testing.assert_allclose(shares, arrays["unit/square/p_rescaled"])
    unscaled = [halvings(query, 10_000).numpy() for query in queries]
    np.testing.assert_allclose(
        [0.8 / 2**each for each in unscaled], arrays["unit/square/p"]
    )
    for size in (16, 32):
        np.testing.assert_array_equal(
            [sides(size, size)[each] for each in unscaled],
            arrays[f"unit/square/side_Linf_{size}"],
        )


@pytest.mark.parametrize("side", [3, 5, 6, 7, 9])
def test_bumps_match_golden(side):
    arrays = golden.load("autoattack")
    np.testing.assert_allclose(
        bump(side), arrays[f"unit/square/eta_L2_{side}"], atol=1e-6
    )


def test_smallest_bump():
    np.testing.assert_array_equal(bump(1), [[-1.0]])


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
@pytest.mark.parametrize("shape", [(2, 9, 5, 1), (2, 1, 1, 3)])
def test_stays_in_the_ball_and_the_range(threat_model, shape):
    attack = functools.partial(square, num_queries=60)
    strength.check_stays_within(attack, shape, threat_model)


@pytest.mark.parametrize("threat_model", THREAT_MODELS)
@pytest.mark.parametrize("network", strength.DEGENERATE)
def test_degenerate_networks(threat_model, network):
    x = strength.images((3, 8, 8, 3))
    x_adv = square(
        strength.DEGENERATE[network],
        x,
        np.zeros(3, np.int32),
        epsilon=0.1,
        threat_model=threat_model,
        num_queries=5,
        seed=0,
    )
    strength.assert_within(x_adv, x, 0.1, threat_model)


@pytest.mark.parametrize(
    "threat_model", ["linf", pytest.param("l2", marks=pytest.mark.slow)]
)
def test_result_of_an_image_depends_on_nothing_beside_it(case, threat_model):
    settings = {
        "epsilon": {"linf": 0.02, "l2": 0.3}[threat_model],
        "threat_model": threat_model,
        "num_queries": 120,
        "seed": 3,
    }
    x, y = case.images[:40], case.labels[:40]
    whole = square(case.network, x, y, **settings)
    rows = np.array([31, 4, 17, 5])
    part = square(case.network, x[rows], y[rows], indices=rows, **settings)
    # The order of sums in the network may depend on the number of images.
    np.testing.assert_allclose(part, whole.numpy()[rows], atol=1e-5)
    again = square(case.network, x, y, **settings)
    np.testing.assert_array_equal(again, whole)
    other = square(case.network, x, y, **{**settings, "seed": 4})
    assert np.any(other.numpy() != whole.numpy())


def test_mistakes_stay_and_what_is_broken_costs_no_more_queries(case):
    rows = tf.Variable(0)

    def network(x):
        rows.assign_add(tf.shape(x)[0])
        return case.network(x)

    x, y = case.images[:64], case.labels[:64]
    right = case.right[:64]
    spent, robust = [], []
    for num_queries in (50, 100):
        rows.assign(0)
        x_adv = square(
            network, x, y, epsilon=0.02, num_queries=num_queries, seed=0
        ).numpy()
        np.testing.assert_array_equal(x_adv[~right], x[~right])
        spent.append(rows.numpy())
        robust.append(np.sum(case.robust(x_adv, slice(64))))
    # Each image, and the start of each that is not misclassified.
    assert spent[0] <= 64 + 51 * np.sum(right)
    assert spent[1] - spent[0] <= 50 * (np.sum(right) - 1)
    assert 0 < robust[1] <= robust[0] < np.sum(right)


def test_needs_no_gradient(case):
    def network(x):
        return tf.round(1000.0 * case.network(x))

    rows = np.flatnonzero(case.right)[:32]
    x, y = case.images[rows], case.labels[rows]
    settings = {"epsilon": 0.03, "seed": 0}
    by_gradient = pgd(network, x, y, step_size=0.01, num_steps=5, **settings)
    by_search = square(network, x, y, num_queries=100, **settings)
    assert np.sum(case.robust(by_search, rows)) < np.sum(
        case.robust(by_gradient, rows)
    )


def test_restarts_break_no_fewer(case):
    rows = np.flatnonzero(case.right)[:32]
    x, y = case.images[rows], case.labels[rows]
    settings = {"epsilon": 0.01, "num_queries": 20, "seed": 0}
    once, thrice = (
        case.robust(
            square(case.network, x, y, num_restarts=number, **settings), rows
        )
        for number in (1, 3)
    )
    assert not np.any(thrice & ~once)


def test_attacks_within_a_graph_with_any_number_of_images(case):
    attack = tf.function(
        lambda x, y: square(
            case.network, x, y, epsilon=0.02, num_queries=20, seed=0
        ),
        input_signature=[
            tf.TensorSpec([None, 16, 16, 3]),
            tf.TensorSpec([None], tf.int64),
        ],
    )
    x, y = case.images[:8], case.labels[:8]
    eager = square(case.network, x, y, epsilon=0.02, num_queries=20, seed=0)
    np.testing.assert_allclose(attack(x, y), eager, atol=1e-6)
    assert attack.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_queries": 0}, "`num_queries` must be a whole number >= 1"),
        ({"threat_model": "l1"}, "`threat_model` must be one of 'linf', 'l2'"),
        ({"epsilon": 2}, "`epsilon` must be a number in .0, 1."),
        ({"queries": 5}, r"square\(\) has no argument `queries`"),
        ({"x": np.zeros((1, 4), np.float32)}, "`x` must have the shape"),
    ],
)
def test_mistakes(change, words):
    x = change.pop("x", np.zeros((1, 4, 4, 1), np.float32))
    with pytest.raises(InputError, match=words):
        square(keras.layers.Flatten(), x, [0], **{"epsilon": 0.1, **change})


@pytest.mark.slow
@pytest.mark.parametrize("threat_model", THREAT_MODELS)
@pytest.mark.parametrize("name", strength.NAMES)
def test_as_strong_as_the_reference(name, threat_model):
    strength.check_against_reference("square", square, name, threat_model)
