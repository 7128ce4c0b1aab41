"""What an evaluation tells, in a file and to people."""

import numpy as np

from hydra_tf import files
from hydra_tf.evaluation import Evaluation
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.evaluation import SmoothingSettings

TEN = np.arange(10)


def result(*bounds, labels=TEN % 2, found=None, **settings):
    """Natural accuracy 0.8, robust 0.4 and 0.5, certified 0.3."""
    settings = EvaluationSettings(
        attacks=["pgd", "fgsm"], bounds=bounds, epsilon=0.1, num_restarts=1,
        **settings,
    )  # fmt: skip
    proofs = settings.proof_records
    return Evaluation(
        labels=labels,
        predictions=np.where(TEN < 8, labels, 7),
        attacks=settings.attack_records,
        withstood={"pgd": TEN < 4, "fgsm": TEN < 5},
        certification=proofs,
        certified=dict.fromkeys(proofs, TEN < 3),
        seconds=4.2,
        **(found or {}),
    )


# As an attack without limit and AutoAttack would leave them.
FOUND = {
    "broken_by": {"pgd": np.where((TEN >= 4) & (TEN < 8), "square", "")},
    "distances": {"fgsm": np.array([np.inf] * 3 + [0.2] * 5 + [0.0] * 2)},
    "warnings": {"pgd": ("gradients vanish",)},
}


def test_printed_it_is_a_table():
    smoothing = SmoothingSettings(radii=(0.25,), num_samples=100)
    assert str(result("ibp", smoothing=smoothing)).splitlines() == [
        "10 images                                        accuracy"
        "   95 % interval",
        "-----------------------------------------------  --------"
        "  --------------",
        "natural                                            80.0 %"
        "  49.0 to 94.3 %",
        "robust under pgd, Linf 0.1, 50 steps, 1 restart    40.0 %"
        "  16.8 to 68.7 %",
        "robust under fgsm, Linf 0.1                        50.0 %"
        "  23.7 to 76.3 %",
        "certified by ibp, Linf 0.1                         30.0 %"
        "  10.8 to 60.3 %",
        "certified by smoothing, L2 0.25, 100 samples       30.0 %"
        "  10.8 to 60.3 %",
    ]


def test_printed_it_tells_what_else_was_found():
    lines = str(result(labels=(TEN > 7).astype(int), found=FOUND)).splitlines()
    # Of two classes, of eight and two images.
    assert lines[0].endswith("interval  balanced")
    assert lines[2].endswith("94.3 %    50.0 %")
    assert lines[-2:] == [
        "fgsm: half of the images fall within Linf 0.2",
        "warning: pgd: gradients vanish",
    ]


def test_summary_is_a_line():
    assert result("ibp").summary() == (
        "natural 80.0 %, robust 40.0 % under pgd, 50.0 % under fgsm, "
        "certified 30.0 % by ibp (10 images, 4 s)"
    )
    assert "certified" not in result().summary()
    assert repr(result()) == f"Evaluation({result().summary()})"


def test_record_has_the_keys_of_metrics_json():
    proved = result("ibp").to_dict()
    assert set(proved) == {
        "natural_accuracy",
        "robust_accuracy",
        "attacks",
        "certified_accuracy",
        "certification",
        "intervals",
        "balanced_accuracy",
        "warnings",
        "curves",
        "num_examples",
        "evaluation_seconds",
    }
    figures = {"natural_accuracy", "pgd", "fgsm", "ibp"}
    assert set(proved["intervals"]) == figures
    assert set(proved["balanced_accuracy"]) == figures
    assert proved["warnings"] == proved["curves"] == {}
    # Nothing is recorded of proofs that were not asked for.
    plain = set(result().to_dict())
    assert set(proved) - plain == {"certified_accuracy", "certification"}


def test_record_can_be_written_as_json():
    record = files.as_json(result("ibp", found=FOUND).to_dict())
    assert record["warnings"] == {"pgd": ["gradients vanish"]}
    curve = record["curves"]["fgsm"]
    assert curve["median_distance"] == 0.2
    assert curve["robust_accuracy"][0] == record["natural_accuracy"]
    low, high = record["intervals"]["pgd"]
    assert low < record["robust_accuracy"]["pgd"] < high


def test_examples_are_a_row_each():
    header, rows = result("ibp", found=FOUND).examples()
    assert header == [
        "index",
        "label",
        "predicted",
        "correct",
        "robust.pgd",
        "robust.fgsm",
        "broken_by.pgd",
        "distance.fgsm",
        "certified.ibp",
    ]
    assert len(rows) == 10
    assert rows[3] == [3, 1, 1, 1, 1, 1, "", 0.2, 0]
    assert rows[4] == [4, 0, 0, 1, 0, 1, "square", 0.2, 0]
    assert rows[9] == [9, 1, 7, 0, 0, 0, "", 0.0, 0]
    assert rows[0][7] == np.inf
    assert {type(each) for row in rows for each in row} == {int, str, float}
