"""MixTrain: golden losses, and what a step draws."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests import golden
from tests.objectives.golden_bounds import LOSS_RTOL
from tests.objectives.golden_bounds import assert_gradients
from tests.objectives.golden_bounds import golden_network
from tests.objectives.golden_bounds import step
from tests.objectives.small_case import X
from tests.objectives.small_case import Y
from tests.objectives.small_case import fit
from tests.objectives.small_case import losses
from tests.objectives.small_case import make_network
from tests.objectives.small_case import make_robust


def mixtrain(arrays, case):
    """Returns the objective, and what the golden step drew."""
    objective = ht.objectives.MixTrain(
        epsilon=float(arrays["cases/eps"][case]),
        symbolic_weight=float(arrays["cases/interval_weight"][case]),
        probability=float(arrays["alpha"]),
        num_examples=int(arrays["k"]),
    )
    is_used = arrays["cases/uniform_draw"][case] <= objective.probability
    positions = tf.constant(arrays["sample_indices"], tf.int32)
    return objective, (tf.constant(is_used), positions)


@pytest.mark.parametrize(
    ("name", "phase", "case"),
    [
        ("N1", "finetune", 1),
        ("N1m", "finetune", 1),
        *[
            pytest.param("N1m", "finetune", i, marks=pytest.mark.slow)
            for i in (0, 2, 3, 4)
        ],
        ("N1m", "prune", 0),
        *[
            pytest.param("N1m", "prune", i, marks=pytest.mark.slow)
            for i in (1, 2, 3, 4)
        ],
    ],
)
def test_mixtrain_matches_golden(name, phase, case):
    arrays = golden.load("mixtrain_loss")
    network = golden_network(arrays, name, phase)
    objective, drawn = mixtrain(arrays, case)
    terms, figures, gradients = step(
        objective,
        network,
        arrays,
        # Once with the bounds and once without.
        compile_it=phase == "prune",
        drawn=drawn,
    )
    key = f"{name}/case{case}"
    np.testing.assert_allclose(
        terms["natural_ce"], arrays[f"{key}/clean_ce"], rtol=LOSS_RTOL
    )
    np.testing.assert_allclose(
        terms["robust_ce"],
        objective.symbolic_weight * arrays[f"{key}/sym_ce"],
        rtol=LOSS_RTOL,
    )
    np.testing.assert_allclose(
        sum(terms.values()), arrays[f"{key}/loss"], rtol=LOSS_RTOL
    )
    assert_gradients(gradients, arrays, key, phase)
    certified, weight = figures["certified_accuracy"]
    assert weight == arrays["cases/use_symbolic"][case]
    if weight:
        np.testing.assert_allclose(certified, 1 - arrays[f"{key}/sym_error"])


def draws(objective, seeds, num_images=12):
    draw = tf.function(
        lambda seed: objective.draw(seed, tf.constant(num_images))
    )
    results = [draw(tf.constant([seed, 0])) for seed in seeds]
    used = np.array([bool(is_used) for is_used, _ in results])
    return used, np.stack([positions for _, positions in results])


def test_draws_follow_the_probability_and_the_seed():
    objective = ht.objectives.MixTrain(probability=0.8, num_examples=5)
    used, positions = draws(objective, range(300))
    # Four standard deviations of a mean of 300.
    assert abs(used.mean() - 0.8) < 4 * np.sqrt(0.16 / 300)
    counts = np.bincount(positions.ravel(), minlength=12)
    assert len(counts) == 12
    assert np.all(np.abs(counts - 125) < 4 * np.sqrt(125))
    # With replacement: 1 - 12 * 11 * 10 * 9 * 8 / 12**5 of them repeat one.
    repeats = np.mean([len(set(row)) < 5 for row in positions])
    assert abs(repeats - 0.618) < 4 * np.sqrt(0.618 * 0.382 / 300)
    again, same = draws(objective, range(300))
    np.testing.assert_array_equal(used, again)
    np.testing.assert_array_equal(positions, same)
    unseeded = [
        tuple(objective.draw(None, tf.constant(12))[1].numpy())
        for _ in range(9)
    ]
    assert len(set(unseeded)) > 1


@pytest.mark.parametrize("probability", [0, 1])
def test_certain_draws_need_no_branch(probability):
    objective = ht.objectives.MixTrain(probability=probability)
    is_used, _ = objective.draw(None, tf.constant(12))
    assert is_used is bool(probability)


class EveryOther(ht.objectives.MixTrain):
    """Bounds all images in steps 0, 2 and so on (run eagerly)."""

    step = -1

    def draw(self, seed, num_images):
        self.step += 1
        return tf.constant(self.step % 2 == 0), tf.range(num_images)


def test_steps_without_bounds_do_not_count_in_the_certified_accuracy():
    network = make_network()
    # So small that accuracy with a radius is accuracy.
    robust = make_robust(
        EveryOther(epsilon=1e-6),
        network,
        keras.optimizers.SGD(0.0),
        run_eagerly=True,
    )
    right = network.predict(X, verbose=0).argmax(1) == Y
    history = fit(robust)
    np.testing.assert_allclose(
        history["certified_accuracy"],
        [np.mean([*right[:4], *right[8:]])],
        rtol=1e-6,
    )
    np.testing.assert_allclose(history["natural_accuracy"], [np.mean(right)])
    loss = losses(ht.objectives.MixTrain(probability=0), network)
    assert loss.terms["robust_ce"] == 0.0
    assert loss.figures["certified_accuracy"] == (0.0, 0.0)
    # Evaluation bounds images of every batch.
    loss = losses(
        ht.objectives.MixTrain(probability=0), network, training=False
    )
    assert loss.figures["certified_accuracy"][1] == 1.0


def test_the_weight_grows_once_the_radius_is_full():
    objective = ht.objectives.MixTrain(epsilon=0.1, symbolic_weight=0.2)
    for end in (0, 15):
        ramped = objective.with_ramp(0, end)
        assert ramped.symbolic_weight == ht.schedules.IntervalWeight(
            end, base=0.2
        )
    own = ht.schedules.IntervalWeight(3)
    objective = ht.objectives.MixTrain(epsilon=0.1, symbolic_weight=own)
    assert objective.with_ramp(0, 15).symbolic_weight == own
