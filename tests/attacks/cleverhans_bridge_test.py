"""Tests of the bridge to cleverhans."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf.attacks import cleverhans_attack
from hydra_tf.attacks import fgsm
from hydra_tf.attacks import pgd
from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import ATTACKS

BALLS = [
    ("pgd", "linf", 0.15, {"num_steps": 4}),
    ("pgd", "l2", 0.7, {"num_steps": 4}),
    ("mim", "linf", 0.15, {"num_steps": 4}),
    ("mim", "l2", 0.7, {"num_steps": 4}),
    (
        "cw_l2",
        "l2",
        0.7,
        {"num_steps": 40, "step_size": 0.05, "binary_search_steps": 3},
    ),
    ("spsa", "linf", 0.15, {"num_steps": 12, "step_size": 0.05}),
]


@pytest.fixture(scope="module")
def case():
    """A network that tells bright quarters apart, images and labels."""
    generator = np.random.default_rng(0)
    x = generator.uniform(0.0, 0.7, (12, 6, 6, 1)).astype(np.float32)
    y = np.arange(12, dtype=np.int32) % 4
    for image, label in zip(x, y, strict=True):
        row, column = 3 * (label // 2), 3 * (label % 2)
        image[row : row + 3, column : column + 3] += 0.25
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation="tanh"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x, y, epochs=40, batch_size=12, verbose=0)
    assert accuracy(model, x, y) == 1.0
    return model, x, y


def accuracy(model, x, y):
    return np.mean(np.argmax(model(x, training=False), axis=1) == y)


def test_every_attack_is_tested():
    assert {f"cleverhans_{name}" for name, *_ in BALLS} == {
        entry.name for entry in ATTACKS if entry.library == "cleverhans"
    }


@pytest.mark.parametrize("name, threat_model, epsilon, settings", BALLS)
def test_attack_stays_in_the_ball_and_lowers_accuracy(
    case, name, threat_model, epsilon, settings
):
    model, x, y = case
    keras.utils.set_random_seed(1)
    x_adv = cleverhans_attack(
        name,
        model,
        x,
        y,
        epsilon=epsilon,
        threat_model=threat_model,
        **settings,
    )
    order = {"linf": np.inf, "l2": 2}[threat_model]
    delta = np.reshape(x_adv - x, (len(x), -1))
    assert np.all(np.linalg.norm(delta, order, axis=1) <= epsilon + 1e-6)
    assert np.min(x_adv) >= 0 and np.max(x_adv) <= 1
    assert accuracy(model, x_adv, y) <= 0.6


@pytest.mark.parametrize("threat_model, epsilon", [("linf", 0.1), ("l2", 0.5)])
def test_pgd_and_fgsm_agree_with_cleverhans(case, threat_model, epsilon):
    model, x, y = case
    settings = {"epsilon": epsilon, "threat_model": threat_model}

    def theirs(step_size, num_steps):
        return cleverhans_attack(
            "pgd",
            model,
            x,
            y,
            step_size=step_size,
            num_steps=num_steps,
            random_start=False,
            **settings,
        )

    np.testing.assert_allclose(
        theirs(epsilon, 1), fgsm(model, x, y, **settings), rtol=0, atol=1e-6
    )
    ours = pgd(
        model,
        x,
        y,
        step_size=epsilon / 4,
        num_steps=7,
        random_start=False,
        **settings,
    )
    np.testing.assert_allclose(theirs(epsilon / 4, 7), ours, rtol=0, atol=2e-6)


def test_cw_l2_finds_small_perturbations_within_any_or_no_radius(case):
    model, x, y = case
    settings = dict(BALLS[-2][3])
    free = cleverhans_attack("cw_l2", model, x[:3], y[:3], **settings)
    distances = np.linalg.norm(np.reshape(free - x[:3], (3, -1)), axis=1)
    assert accuracy(model, free, y[:3]) == 0.0
    # PGD needs about as large a ball to break them all.
    broken = [
        accuracy(
            model,
            pgd(
                model,
                x[:3],
                y[:3],
                epsilon=scale * distances.max(),
                step_size=0.05,
                num_steps=30,
                threat_model="l2",
                random_start=False,
            ),
            y[:3],
        )
        for scale in (0.5, 1.1)
    ]
    assert broken[0] > 0.0 and broken[1] == 0.0
    tight = cleverhans_attack(
        "cw_l2", model, x[:3], y[:3], epsilon=0.9 * distances.min(), **settings
    )
    np.testing.assert_array_equal(tight, x[:3])


def test_cw_l2_leaves_misclassified_images_alone(case):
    model, x, y = case
    x_adv = cleverhans_attack(
        "cw_l2", model, x[:2], (y[:2] + 1) % 4, num_steps=2
    )
    np.testing.assert_array_equal(x_adv, x[:2])


def test_without_labels_the_predictions_are_attacked(case):
    model, x, y = case
    np.testing.assert_array_equal(
        cleverhans_attack("mim", model, x, epsilon=0.1),
        cleverhans_attack("mim", model, x, y, epsilon=0.1),
    )


def test_a_model_that_changed_is_not_mistaken_for_its_former_self(case):
    model, x, y = case
    sign = [1.0]

    def flipping(images):
        return sign[0] * model(images)

    first = cleverhans_attack("mim", flipping, x, y, epsilon=0.1)
    sign[0] = -1.0
    second = cleverhans_attack("mim", flipping, x, y, epsilon=0.1)
    assert np.mean(first == second) < 0.5


def test_seed_decides_the_random_start(case):
    model, x, y = case
    settings = {"epsilon": 0.2, "step_size": 0.0, "num_steps": 1}

    def attacked(seed):
        return cleverhans_attack("pgd", model, x, y, seed=seed, **settings)

    np.testing.assert_array_equal(attacked(3), attacked(3))
    assert np.mean(attacked(3) == attacked(2**32 + 3)) < 0.5


def test_models_run_in_inference_mode():
    modes = []

    def model(x, training=True):
        modes.append(training)
        return x

    cleverhans_attack("mim", model, np.full((1, 3), 0.5, "f"), epsilon=0.1)
    assert modes and not any(modes)


@pytest.mark.parametrize(
    "name, changed, message",
    [
        ("pgdd", {}, "Did you mean 'pgd'"),
        ("mim", {"decay_facto": 1.0}, "Did you mean 'decay_factor'"),
        ("mim", {"random_start": True}, "has no setting 'random_start'"),
        ("spsa", {"threat_model": "l2"}, "needs `threat_model`=linf"),
        ("cw_l2", {"threat_model": "linf"}, "needs `threat_model`=l2"),
        ("pgd", {"epsilon": None}, "needs `epsilon`"),
        ("pgd", {"epsilon": -1.0}, "`epsilon` must be a number >= 0"),
        ("pgd", {"step_size": 0.2}, "`step_size` <= `epsilon`"),
        ("spsa", {"num_samples": 3}, "`num_samples` must be even"),
        ("cw_l2", {}, "shape \\(batch, height, width, channels\\)"),
        ("mim", {"x": np.full((2, 3), 2.0, "f")}, r"must lie in \[0, 1\]"),
        ("mim", {"x": np.zeros((2, 3), np.uint8)}, "float images"),
    ],
)
def test_wrong_arguments_are_named(name, changed, message):
    arguments = {"x": np.zeros((2, 3), "f"), "y": [0, 1], "epsilon": 0.1}
    with pytest.raises(InputError, match=message):
        cleverhans_attack(name, lambda x: x, **{**arguments, **changed})


def test_graph_mode_is_refused(case):
    model, x, y = case
    with pytest.raises(InputError, match="outside of `tf.function`"):
        tf.function(
            lambda: cleverhans_attack("mim", model, x, y, epsilon=0.1),
            autograph=False,  # It would wrap the error in one of its own.
        )()
