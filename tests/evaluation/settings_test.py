"""The settings of evaluation and certification."""

import pytest

from hydra_tf.errors import InputError
from hydra_tf.evaluation import CertificationSettings
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.evaluation import SmoothingSettings


def test_settings_are_recorded_per_attack():
    names = ("pgd_margin", "fgsm", "cleverhans_mim", "cleverhans_spsa")
    records = EvaluationSettings(
        attacks=names, epsilon=0.1, num_steps=3, num_restarts=2
    ).attack_records
    common = {"epsilon": 0.1, "threat_model": "linf", "seed": 0}
    assert records == {
        "pgd_margin": {
            **common,
            "loss": "margin",
            "num_restarts": 2,
            "random_start": True,
            "num_steps": 3,
            "step_size": 0.025,
        },
        "fgsm": common,
        "cleverhans_mim": {
            **common,
            "num_steps": 3,
            "step_size": 0.025,
            "library": "cleverhans",
        },
        "cleverhans_spsa": {**common, "num_steps": 3, "library": "cleverhans"},
    }


def test_entry_of_metrics_matches_its_settings_alone():
    settings = EvaluationSettings(
        attacks=["pgd", "fgsm"],
        bounds=["ibp"],
        smoothing=SmoothingSettings(radii=(0.5,)),
    )
    entry = {
        "attacks": settings.attack_records,
        "robust_accuracy": {"pgd": 0.5, "fgsm": 0.6},
        "certification": settings.proof_records,
    }
    assert set(entry["certification"]) == {"ibp", "smoothing@0.5"}
    assert settings.matches(entry)
    assert not EvaluationSettings(attacks=["pgd"]).matches(entry)
    del entry["certification"]
    assert EvaluationSettings(attacks=["pgd"]).matches(entry)
    assert not EvaluationSettings(attacks=["pgd"], seed=1).matches(entry)
    assert not settings.matches(entry)
    assert not settings.matches({})


def test_radii_follow_the_method():
    assert CertificationSettings().certified_radii[1] == 2 / 255
    smoothing = CertificationSettings(method="smoothing")
    assert smoothing.certified_radii == (0.25, 0.5, 0.75, 1.0)
    given = CertificationSettings(radii=[0.2, 0.1, 0.2])
    assert given.certified_radii == (0.1, 0.2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EvaluationSettings(attacks=["pdg"]), "Did you mean 'pgd'"),
        (
            lambda: EvaluationSettings(attacks=3),
            "`attacks` must be a list of names",
        ),
        (
            lambda: EvaluationSettings(attacks=["cleverhans_spsa"],
                                       threat_model="l2"),
            "'cleverhans_spsa' needs `threat_model`=linf",
        ),
        (lambda: SmoothingSettings(radii=[-1]), "`radii` must be numbers"),
        (lambda: SmoothingSettings(sigma=0), "`sigma` must be a number > 0"),
        (lambda: CertificationSettings(method="ipb"), "Did you mean 'ibp'"),
        (lambda: CertificationSettings(alpha=1), r"`alpha` must .* \(0, 1\)"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
