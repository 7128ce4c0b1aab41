"""What every attack keeps to, whatever the network: ball, range, memory."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from hydra_tf import attacks
from hydra_tf.attacks import ensemble
from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.registry.attacks import ATTACKS
from tests.attacks import strength
from tests.attacks.networks import IMAGES
from tests.attacks.networks import curved
from tests.attacks.networks import linear

OWN = [
    entry.name
    for entry in ATTACKS
    if not entry.library and not entry.ensemble and ":" not in entry.name
]
SMALL = {"num_steps": 3, "num_queries": 6, "num_targets": 2}

# Of three classes: without a gradient, saturated, overflowing, none of these.
NETWORKS = {
    "constant": lambda x: 0.0 * linear(x)[:, :3] + 1.0,
    "saturated": lambda x: 1e6 * linear(x)[:, :3],
    "overflowing": lambda x: 1e38 * linear(x)[:, :3] * 1e3,
    "curved": lambda x: curved(x)[:, :3],
}


def network(kind):
    """Returns one of the networks, so that they share a graph."""
    return lambda x: tf.switch_case(
        kind, [lambda each=each: each(x) for each in NETWORKS.values()]
    )


@functools.cache
def compiled_attack(name, threat_model):
    attack = ATTACKS.load(name)
    chosen = {
        key: value
        for key, value in SMALL.items()
        if accepts_argument(attack, key)
    }
    if accepts_argument(attack, "step_size") and "fmn" not in name:
        chosen["step_size"] = 0.1

    def run(kind, epsilon, seed):
        seeded = {"seed": seed} if accepts_argument(attack, "seed") else {}
        return attack(
            network(kind),
            IMAGES,
            np.arange(len(IMAGES)) % 3,
            epsilon=epsilon,
            threat_model=threat_model,
            **chosen,
            **seeded,
        )

    return tf.function(
        run,
        autograph=False,
        input_signature=[
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec(()),
            tf.TensorSpec((), tf.int32),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("threat_model", ["linf", "l2"])
@pytest.mark.parametrize("name", OWN)
@settings(max_examples=25, deadline=None)
@given(
    kind=st.integers(0, len(NETWORKS) - 1),
    epsilon=st.sampled_from([0.0, 1e-4, 8 / 255, 0.3, 1.0]),
    seed=st.integers(0, 2**31 - 1),
)
def test_images_stay_in_the_ball_and_the_range(
    name, threat_model, kind, epsilon, seed
):
    x_adv = compiled_attack(name, threat_model)(kind, epsilon, seed)
    strength.assert_within(x_adv, IMAGES, epsilon, threat_model)


@pytest.mark.slow
@pytest.mark.parametrize("threat_model", ["linf", "l2"])
@pytest.mark.parametrize("version", ensemble.VERSIONS)
def test_autoattack_stays_in_the_ball_and_the_range(
    monkeypatch, version, threat_model
):
    parts = tuple(
        dataclasses.replace(
            part,
            settings={
                key: SMALL.get(key, value)
                for key, value in part.settings.items()
            },
        )
        for part in ensemble.VERSIONS[version]
    )
    monkeypatch.setitem(ensemble.VERSIONS, version, parts)
    for model in NETWORKS.values():
        y = np.argmax(model(IMAGES), axis=1)
        for epsilon in (0.0, 0.05):
            found = attacks.autoattack(
                model,
                IMAGES,
                y,
                epsilon=epsilon,
                threat_model=threat_model,
                version=version,
            )
            strength.assert_within(found.images, IMAGES, epsilon, threat_model)
            if epsilon == 0:
                np.testing.assert_array_equal(found.images, IMAGES)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("fab", "num_steps"),
        ("fmn_adam", "num_steps"),
        ("square", "num_queries"),
    ],
)
def test_graph_does_not_grow_with_the_steps(name, steps):
    attack = ATTACKS.load(name)

    def size(number):
        traced = tf.function(
            lambda x: attack(
                linear, x, np.zeros(7, np.int32), epsilon=0.1, **{steps: number}
            ),
            autograph=False,
        ).get_concrete_function(tf.TensorSpec((7, 4, 4, 1)))
        return len(traced.graph.as_graph_def().SerializeToString())

    assert size(1000) < 1.05 * size(10)
