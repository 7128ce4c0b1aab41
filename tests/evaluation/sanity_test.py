"""The checks of an evaluation, on sound and on broken networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import files
from hydra_tf.evaluation import sanity
from tests.attacks import strength

NAMES = [
    "logits",
    "determinism",
    "accuracy",
    "gradients",
    "more_steps",
    "more_restarts",
    "iterative",
    "larger_epsilon",
    "unbounded_epsilon",
    "noise",
    "black_box",
]
SETTINGS = ht.evaluation.EvaluationSettings(
    epsilon=0.1, num_steps=10, num_restarts=3
)


@pytest.fixture(scope="module")
def digits():
    """The digits, and a linear network that separates them, by formula."""
    images, labels = ht.data.load("digits", "train", batch_size=8).arrays(600)
    flat = images.reshape(len(images), -1)
    inputs = np.hstack([flat, np.ones((len(flat), 1))])
    ridge = inputs.T @ inputs + 3 * np.eye(65)
    weights = np.linalg.solve(ridge, inputs.T @ (4 * np.eye(10)[labels]))
    network = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    network.set_weights([weights[:-1], weights[-1]])
    return network, images, labels


def failed(found):
    return {each.name: each.finding for each in found.checks if not each.passed}


def test_sound_network_passes(digits):
    found = sanity(*digits, SETTINGS, threat_model="linf")
    assert failed(found) == {}
    assert found.passed
    assert [each.name for each in found.checks] == NAMES
    assert found.num_examples == 200
    record = files.as_json(found.to_dict())
    assert record["passed"] is True
    assert record["checks"][0].keys() == {"name", "passed", "finding"}
    assert record["attack"]["num_steps"] == 10
    lines = str(found).splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == "11 of 11 checks passed on 200 images"


@pytest.mark.slow
@pytest.mark.parametrize("threat_model", ["linf", "l2"])
@pytest.mark.parametrize("name", strength.NAMES)
def test_trained_networks_pass(name, threat_model):
    case = strength.case(name)
    found = sanity(
        case.network,
        case.images,
        case.labels,
        epsilon={"linf": 8 / 255, "l2": 0.5}[threat_model],
        threat_model=threat_model,
    )
    assert failed(found) == {}


@pytest.mark.slow
def test_trained_digits_network_passes():
    train = ht.data.load("digits", "train", batch_size=128, seed=0)
    network = ht.training.run_phase(
        ht.models.digits_model(),
        "pretrain",
        train,
        ht.objectives.TRADES(epsilon=0.1, step_size=0.03, num_steps=5),
        epochs=5,
    )
    test = ht.data.load("digits", "test", batch_size=128)
    found = sanity(network, *test.arrays(), epsilon=0.1)
    assert failed(found) == {}


# Name: what is done to the network, and words of what is found.
BROKEN = {
    "quantised input": (
        lambda network: lambda x: network(tf.round(x * 7) / 7),
        {
            "gradients": "100.0 % of the images have the gradient 0: rounding",
            "black_box": "stronger than gradients",
        },
    ),
    "softmax": (
        lambda network: lambda x: tf.nn.softmax(network(x)),
        {"logits": "returns probabilities, not logits"},
    ),
    "saturated softmax": (
        lambda network: lambda x: 1e4 * network(x),
        {
            "gradients": "softmax is saturated. Attack with pgd_margin",
            "black_box": "stronger than gradients",
        },
    ),
    "random": (
        lambda network: lambda x: network(x) + tf.random.normal((10,)),
        {"determinism": "the network is random"},
    ),
    "depends on the batch": (
        lambda network: lambda x: network(x - 0.2 * tf.reduce_mean(x, 0)),
        {"determinism": "depend on the images beside it"},
    ),
    "not a number": (
        lambda network: lambda x: network(x) * np.nan,
        {
            "logits": "the logits of 100.0 % of the images are nan",
            "gradients": "nan or infinite for 100.0 %",
        },
    ),
    "constant": (
        lambda network: lambda x: 0 * network(x) + 2.0 * tf.range(10.0),
        {
            "accuracy": "takes all images for class 9",
            "unbounded_epsilon": "it must leave 0 %",
        },
    ),
}


# The others take a second each.
_ALWAYS = ("quantised input", "softmax", "saturated softmax")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in _ALWAYS else pytest.mark.slow)
        for name in BROKEN
    ],
)
def test_broken_network_is_told_what_is_wrong(name, digits):
    network, images, labels = digits
    broken, words = BROKEN[name]
    found = sanity(broken(network), images[:60], labels[:60], SETTINGS)
    assert not found.passed
    assert words.keys() <= failed(found).keys()
    for check, finding in words.items():
        assert finding in failed(found)[check]
    assert "FAILED" in str(found)
    assert [each.name for each in found.checks] == NAMES


@pytest.mark.slow
def test_labels_of_others_are_no_accuracy(digits):
    network, images, labels = digits
    found = sanity(network, images[:60], (labels[:60] + 1) % 10, SETTINGS)
    assert "not above chance" in failed(found)["accuracy"]


@pytest.mark.slow
def test_steps_that_are_too_few_are_told(digits):
    found = sanity(
        *digits, epsilon=0.1, step_size=0.005, num_steps=5, num_restarts=1
    )
    (steps,) = (each for each in found.checks if each.name == "more_steps")
    assert steps.passed
    assert "1, 5 and 10 steps of PGD leave" in steps.finding
    assert "5 steps are not enough yet" in steps.finding


def test_one_image(digits, capsys):
    network, images, labels = digits
    found = sanity(
        network, images[:1], labels[:1], SETTINGS, threat_model="l2",
        progress="auto",
    )  # fmt: skip
    assert found.num_examples == 1
    assert "sanity  compiling" in capsys.readouterr().out
