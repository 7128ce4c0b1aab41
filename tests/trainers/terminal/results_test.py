"""The table with which a binary ends."""

from trainers.terminal import results


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
