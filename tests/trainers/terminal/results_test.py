"""The table with which a binary ends."""

from hydra_tf.evaluation import EvaluationSettings
from trainers.terminal import results


def test_figures_no_better_than_chance_are_marked_and_explained():
    phase = {
        "natural_accuracy": 0.5,
        "robust_accuracy": {"pgd": 0.12, "fgsm": 0.3},
        "chance_level": 0.117,
        "not_above_chance": ["pgd"],
    }
    table = results.table([("pruned", phase, {})])
    row, note = table.splitlines()[2], table.splitlines()[-1]
    cells = row.split("  ")
    assert [cell.strip() for cell in cells if cell.strip()][:4] == [
        "pruned",
        "50.0 %",
        "12.0 % (chance)",
        "30.0 %",
    ]
    assert "not significantly above 11.7 %" in note
    assert "chance" not in results.table([("pruned", {}, {})])


def test_row_has_what_was_measured_and_dashes_elsewhere():
    table = results.table(
        [
            (
                "dense",
                {
                    "natural_accuracy": 0.9,
                    "robust_accuracy": {"pgd": 0.5},
                    "certified_accuracy": {"ibp": 0.25},
                },
                {"bytes": 2000, "compressed_bytes": 500},
            ),
            ("pruned", {"natural_accuracy": 0.8, "robust_accuracy": {}}, {}),
        ]
    )
    header, _, dense, pruned = table.splitlines()
    assert "robust (pgd)  certified (ibp)  SavedModel  compressed" in header
    assert dense.split("  ")[0] == "dense"
    assert dense.endswith("2.0 kB   500 bytes")
    assert pruned.split() == ["pruned", "80.0", "%", "-", "-", "-", "-"]


def test_intervals_balanced_accuracy_and_warnings_are_shown():
    phase = {
        "natural_accuracy": 0.9,
        "robust_accuracy": {"pgd": 0.5, "autoattack": 0.4},
        "certified_accuracy": {"ibp": 0.2},
        "intervals": {
            "natural_accuracy": [0.8123, 0.95],
            "pgd": [0.4, 0.6],
            "autoattack": [0.0, 0.3],
        },
        "balanced_accuracy": {"natural_accuracy": 0.9, "pgd": 0.45},
        "warnings": {"autoattack": ["gradients are zero.", "it is random."]},
    }
    table, *notes = results.table([("dense", phase, {})]).split("\n\n")
    _, _, _, interval, balanced = table.splitlines()
    assert interval.split("  ")[1] == "95 % interval"
    assert "81.2 to 95.0 %" in interval and "40.0 to 60.0 %" in interval
    assert interval.split()[-1] == "-"
    assert balanced.split()[:5] == ["balanced", "90.0", "%", "45.0", "%"]
    assert notes == [
        "warning: dense, autoattack: gradients are zero.",
        "warning: dense, autoattack: it is random.",
    ]
    # Half a point is that of any test set that is not quite balanced.
    same = phase | {"balanced_accuracy": {"pgd": 0.495}}
    assert "balanced" not in results.table([("dense", same, {})])


def test_sizes_that_no_network_has_are_no_columns():
    phase = {"natural_accuracy": 0.9}
    rows = [("dense", phase, {}), ("saved_model", phase, {"bytes": 2000})]
    header, *_, dense, saved = results.table(rows).splitlines()
    assert header.split() == ["network", "natural", "SavedModel"]
    assert dense.split()[-1] == "-" and saved.endswith("2.0 kB")
    assert "SavedModel" not in results.table(rows[:1])


def test_conditions_name_images_and_radius():
    settings = EvaluationSettings(epsilon=8 / 255, bounds=["ibp"])
    assert results.conditions(9, "digits", settings) == (
        "Accuracies on 9 test images of digits; attacks and bounds within "
        "Linf 8/255, as in metrics.json."
    )
