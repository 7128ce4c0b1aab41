"""Seeds of restarts, and attacks on those that withstood."""

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import noise
from hydra_tf.attacks import pgd
from hydra_tf.attacks.restarts import attack_survivors
from hydra_tf.attacks.restarts import restart_seed


def test_restarts_have_streams_of_their_own():
    seed = noise.as_seed(3)
    seeds = [tuple(restart_seed(seed, number).numpy()) for number in range(50)]
    assert seeds[0] == (3, 0)
    assert len(set(seeds)) == 50
    assert restart_seed(None, 1) is None


@pytest.mark.parametrize("threat_model", ["linf", "l2"])
def test_pgd_with_restarts_is_pgd_with_each_seed(threat_model):
    """Of images whose loss is a pixel, the brightest start is the worst."""
    x = np.full((6, 2, 2, 1), 0.5, np.float32)

    def model(x):
        return tf.reshape(x, [-1, 4])[:, :1] * [[0.0, 1.0]]

    def attacked(number=None, indices=None, rows=slice(None)):
        seed = noise.as_seed(7)
        return pgd(
            model,
            x[rows],
            tf.zeros(len(x[rows]), tf.int32),
            epsilon=0.3,
            step_size=0.0,
            num_steps=0,
            threat_model=threat_model,
            num_restarts=4 if number is None else 1,
            seed=seed if number is None else restart_seed(seed, number),
            indices=indices,
        ).numpy()

    each = np.stack([attacked(number) for number in range(4)])
    brightest = np.argmax(each[:, :, 0, 0, 0], axis=0)
    worst = attacked()
    np.testing.assert_array_equal(worst, each[brightest, np.arange(6)])
    # An image's noise depends on its index, not on the images around it.
    rows = [4, 1]
    np.testing.assert_array_equal(
        attacked(indices=rows, rows=rows), worst[rows]
    )


def test_only_what_withstood_is_attacked_again_and_so_when_resumed():
    falls_in = np.array([0, 2, 1, 9, 0, 1, 9, 9])
    attacked = []

    def attack(rows, restart):
        attacked.append((restart, rows.tolist()))
        return falls_in[rows] > restart

    def run(withstood, **resumed):
        return attack_survivors(
            attack, withstood, num_restarts=3, batch_size=3, **resumed
        )

    withstood = falls_in >= 0
    places = list(run(withstood))
    assert withstood.tolist() == (falls_in == 9).tolist()
    expected = [
        (0, [0, 1, 2]),
        (0, [3, 4, 5]),
        (0, [6, 7]),
        (1, [1, 2, 3]),
        (1, [5, 6, 7]),
        (2, [1, 3, 6]),
        (2, [7]),
    ]
    assert attacked == expected
    for stop in range(1, len(expected)):
        attacked.clear()
        withstood = falls_in >= 0
        steps = run(withstood)
        for _ in range(stop):
            restart, position = next(steps)
        assert (restart, position) == places[stop - 1]
        list(run(withstood, restart=restart, position=position))
        assert attacked == expected
