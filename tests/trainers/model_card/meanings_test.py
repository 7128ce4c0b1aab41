"""Names of `metrics.json` in words."""

import pytest

from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.bounds import BOUNDS
from trainers.model_card import meanings


@pytest.mark.parametrize("name", ATTACKS.names)
def test_every_attack_has_words(name):
    assert meanings.of_attack(name)


@pytest.mark.parametrize("name", [*BOUNDS.names, "smoothing@0.25"])
def test_every_proof_has_words(name):
    assert meanings.of_proof(name)


def test_own_ones_have_none():
    assert not meanings.of_attack("package.module:attack")
    assert not meanings.of_setting("method", "package.module:scores")
    assert not meanings.of_setting("seed", "0")
