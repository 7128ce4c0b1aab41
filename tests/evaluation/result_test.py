"""What an evaluation tells, in a file and to people."""

import numpy as np
import pytest

from hydra_tf.evaluation import Evaluation
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.evaluation import SmoothingSettings
from hydra_tf.evaluation.result import ball


def result(*bounds, **settings):
    settings = EvaluationSettings(
        attacks=["pgd", "fgsm"], bounds=bounds, epsilon=0.1, num_restarts=1,
        **settings,
    )  # fmt: skip
    proofs = settings.proof_records
    return Evaluation(
        natural_accuracy=0.8,
        robust_accuracy={"pgd": 0.4, "fgsm": 0.5},
        attacks=settings.attack_records,
        certified_accuracy=dict.fromkeys(proofs, 0.3),
        certification=proofs,
        num_examples=10,
        seconds=4.2,
        correct=np.arange(10) < 8,
        withstood={},
        certified={},
    )


def test_printed_it_is_a_table():
    smoothing = SmoothingSettings(radii=(0.25,), num_samples=100)
    assert str(result("ibp", smoothing=smoothing)).splitlines() == [
        "10 images                                        accuracy",
        "-----------------------------------------------  --------",
        "natural                                            80.0 %",
        "robust under pgd, Linf 0.1, 50 steps, 1 restart    40.0 %",
        "robust under fgsm, Linf 0.1                        50.0 %",
        "certified by ibp, Linf 0.1                         30.0 %",
        "certified by smoothing, L2 0.25, 100 samples       30.0 %",
    ]


def test_summary_is_a_line():
    assert result("ibp").summary() == (
        "natural 80.0 %, robust 40.0 % under pgd, 50.0 % under fgsm, "
        "certified 30.0 % by ibp (10 images, 4 s)"
    )
    assert "certified" not in result().summary()


def test_record_has_the_keys_of_metrics_json():
    proved = result("ibp").to_dict()
    assert set(proved) == {
        "natural_accuracy",
        "robust_accuracy",
        "attacks",
        "certified_accuracy",
        "certification",
        "num_examples",
        "evaluation_seconds",
    }
    # Nothing is recorded of proofs that were not asked for.
    plain = set(result().to_dict())
    assert set(proved) - plain == {"certified_accuracy", "certification"}


@pytest.mark.parametrize(
    ("radius", "shown"),
    [(2 / 255, "Linf 2/255"), (0.2, "Linf 0.2"), (1 / 3, "Linf 85/255")],
)
def test_radii_are_shown_as_people_write_them(radius, shown):
    assert ball("linf", radius) == shown
