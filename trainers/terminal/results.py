"""The table of what was measured, with which a binary ends."""

from __future__ import annotations

from typing import Any

from hydra_tf import text


def table(rows: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> str:
    """Returns what was measured, a network a row.

    Args:
        rows: Of each network its name, its entry in `phases` and its size.
    """
    attacks = list(
        dict.fromkeys(
            attack
            for _, phase, _ in rows
            for attack in phase["robust_accuracy"]
        )
    )
    proofs = list(
        dict.fromkeys(
            proof
            for _, phase, _ in rows
            for proof in phase.get("certified_accuracy", {})
        )
    )
    header = [
        "network",
        "natural",
        *[f"robust ({attack})" for attack in attacks],
        *[f"certified ({proof})" for proof in proofs],
        "SavedModel",
        "compressed",
    ]
    return text.table(
        header,
        [
            [
                name,
                text.percent(phase["natural_accuracy"]),
                *[
                    text.percent(phase["robust_accuracy"].get(attack))
                    for attack in attacks
                ],
                *[
                    text.percent(phase.get("certified_accuracy", {}).get(proof))
                    for proof in proofs
                ],
                text.size(size.get("bytes")),
                text.size(size.get("compressed_bytes")),
            ]
            for name, phase, size in rows
        ],
    )
