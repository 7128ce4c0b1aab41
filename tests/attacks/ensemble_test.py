"""Tests of the attacks of AutoAttack, part by part."""

import numpy as np
import pytest

from hydra_tf.attacks import ensemble
from hydra_tf.registry.attacks import ATTACKS
from tests.attacks.networks import IMAGES
from tests.attacks.networks import LABELS
from tests.attacks.networks import curved

ALL = np.arange(len(IMAGES))


@pytest.fixture
def short(monkeypatch):
    """Version standard with few steps, of APGD alone."""
    parts = (
        ensemble.Part("apgd-ce", "apgd", {"loss": "ce", "num_steps": 5}),
        ensemble.Part(
            "apgd-t",
            "apgd",
            {"loss": "dlr_targeted", "num_steps": 5},
            num_restarts=2,
            targeted=True,
        ),
    )
    monkeypatch.setitem(ensemble.VERSIONS, "standard", parts)


@pytest.mark.parametrize("version", ensemble.VERSIONS)
def test_versions_hold_the_budget_of_the_literature(version):
    names = [each.name for each in ensemble.VERSIONS[version]]
    assert len(set(names)) == len(names)
    for part in ensemble.VERSIONS[version]:
        assert part.attack in ATTACKS
        if part.attack == "apgd":
            assert part.settings["num_steps"] == 100
        if part.attack == "square":
            assert part.settings["num_queries"] == 5000


def test_versions_are_those_of_the_reference():
    def restarts(part):
        return part.num_restarts * part.settings.get("num_restarts", 1)

    named = {
        version: [(part.name, restarts(part)) for part in parts]
        for version, parts in ensemble.VERSIONS.items()
    }
    assert named == {
        "standard": [
            ("apgd-ce", 1),
            ("apgd-t", 1),
            ("fab-t", 1),
            ("square", 1),
        ],
        "plus": [
            ("apgd-ce", 5),
            ("apgd-dlr", 5),
            ("fab", 5),
            ("square", 1),
            ("apgd-t", 1),
            ("fab-t", 1),
        ],
        "rand": [("apgd-ce", 1), ("apgd-dlr", 1)],
    }
    stages = ensemble.Ensemble(curved, IMAGES, epsilon=0.1).stages
    # Every targeted attack sees what withstood the targets before.
    assert [each.target for each in stages] == [
        None,
        *range(4),
        *range(4),
        None,
    ]


def test_stages_are_restarts_and_targets(short):
    stages = ensemble.Ensemble(curved, IMAGES, epsilon=0.1).stages
    # Five classes: four targets.
    assert [(each.part.name, each.restart, each.target) for each in stages] == [
        ("apgd-ce", 0, None),
        *(("apgd-t", restart, rank) for restart in (0, 1) for rank in range(4)),
    ]


def test_stages_are_compiled_once_for_batches_of_any_size(short):
    traces = []

    def model(x):
        if not hasattr(x, "numpy"):
            traces.append(x.shape)
        return curved(x)

    attacks = ensemble.Ensemble(model, IMAGES, epsilon=0.1)
    attacks.attack(1, IMAGES, LABELS, ALL)
    traced = len(traces)
    assert traced > 0
    for stage in range(2, len(attacks.stages)):
        rows = ALL[: 2 + stage % 3]
        x_adv, broken = attacks.attack(stage, IMAGES[rows], LABELS[rows], rows)
        wrong = np.argmax(curved(x_adv), axis=1) != LABELS[rows]
        np.testing.assert_array_equal(broken, wrong)
    assert len(traces) == traced


def test_batches_do_not_change_what_happens_to_an_image(short):
    attacks = ensemble.Ensemble(curved, IMAGES, epsilon=0.1, seed=3)
    whole, _ = attacks.attack(0, IMAGES, LABELS, ALL)
    part, _ = attacks.attack(0, IMAGES[4:], LABELS[4:], ALL[4:])
    np.testing.assert_allclose(part, whole[4:], atol=1e-6)
    seeded = ensemble.Ensemble(curved, IMAGES, epsilon=0.1, seed=4)
    other, _ = seeded.attack(0, IMAGES, LABELS, ALL)
    assert not np.allclose(other, whole)
