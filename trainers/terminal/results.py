"""The table of what was measured, with which a binary ends."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from hydra_tf import text
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.evaluation import chance

# Columns, and what they are called in the entry of a size.
_SIZES = {"SavedModel": "bytes", "compressed": "compressed_bytes"}

# By how much balanced accuracy must differ to be shown.
_APART = 0.01

# Of each network its name, its entry in `phases` and its size.
Row = tuple[str, Mapping[str, Any], Mapping[str, Any]]


def table(rows: Sequence[Row]) -> str:
    """Returns what was measured, a network a row, and what to beware of.

    Args:
        rows: The networks.
    """
    note = chance_note(phase for _, phase, _ in rows)
    notes = [*([note] if note else []), *warnings(rows)]
    return "\n\n".join([text.table(*cells(rows)), *notes])


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Returns header and cells of the table.

    Args:
        rows: The networks.
    """
    attacks, proofs = (
        list(
            dict.fromkeys(
                name for _, phase, _ in rows for name in phase.get(key) or ()
            )
        )
        for key in ("robust_accuracy", "certified_accuracy")
    )
    sizes = {
        title: key
        for title, key in _SIZES.items()
        if any(key in size for _, _, size in rows)
    }
    header = [
        "network",
        "natural",
        *[f"robust ({attack})" for attack in attacks],
        *[f"certified ({proof})" for proof in proofs],
        *sizes,
    ]
    lines = []
    for name, phase, size in rows:
        lines.append(
            [
                name,
                *accuracies(phase, attacks, proofs),
                *(text.size(size.get(key)) for key in sizes.values()),
            ]
        )
        for words, further in details(phase, attacks, proofs).items():
            lines.append([f"  {words}", *further, *[""] * len(sizes)])
    return header, lines


def conditions(
    num_examples: int, dataset: str, settings: EvaluationSettings
) -> str:
    """Returns what the accuracies of a table were measured under.

    Args:
        num_examples: Number of images.
        dataset: Whose they are.
        settings: How they were attacked.
    """
    within = "attacks and bounds" if settings.bounds else "attacks"
    radius = text.ball(settings.threat_model, settings.epsilon)
    return (
        f"Accuracies on {num_examples} test images of {dataset}; {within} "
        f"within {radius}, as in metrics.json."
    )


def accuracies(
    phase: Mapping[str, Any], attacks: Iterable[str], proofs: Iterable[str]
) -> list[str]:
    """Returns the cells of natural, robust and certified accuracy.

    Args:
        phase: An entry in `phases`.
        attacks: Names of the columns of robust accuracy.
        proofs: Names of the columns of certified accuracy.
    """
    at_chance = phase.get("not_above_chance") or ()
    robust = phase.get("robust_accuracy") or {}
    certified = phase.get("certified_accuracy") or {}
    named = [(chance.NATURAL, phase.get("natural_accuracy"))]
    named += [(attack, robust.get(attack)) for attack in attacks]
    return [
        text.percent(value) + (" (chance)" if name in at_chance else "")
        for name, value in named
    ] + [text.percent(certified.get(proof)) for proof in proofs]


def details(
    phase: Mapping[str, Any], attacks: Iterable[str], proofs: Iterable[str]
) -> dict[str, list[str]]:
    """Returns the cells of further lines about the same accuracies, by title.

    Args:
        phase: An entry in `phases`.
        attacks: Names of the columns of robust accuracy.
        proofs: Names of the columns of certified accuracy.
    """
    names = [chance.NATURAL, *attacks, *proofs]
    lines = {}
    intervals = phase.get("intervals") or {}
    if intervals:
        cells = (intervals.get(name) for name in names)
        lines["95 % interval"] = [_interval(each) for each in cells]
    balanced = phase.get("balanced_accuracy") or {}
    plain = {
        chance.NATURAL: phase.get("natural_accuracy"),
        **(phase.get("robust_accuracy") or {}),
        **(phase.get("certified_accuracy") or {}),
    }
    if any(
        abs(value - plain[name]) >= _APART
        for name, value in balanced.items()
        if name in plain
    ):
        lines["balanced"] = [text.percent(balanced.get(name)) for name in names]
    return lines


def _interval(bounds: Sequence[float] | None) -> str:
    if not bounds or None in bounds:
        return text.UNKNOWN
    return text.percent_range(bounds[0], bounds[-1])


def warnings(rows: Sequence[Row]) -> list[str]:
    """Returns what speaks against believing the figures, a line for each.

    Args:
        rows: The networks.
    """
    return [
        f"warning: {name}, {attack}: {sentence}"
        for name, phase, _ in rows
        for attack, sentences in (phase.get("warnings") or {}).items()
        for sentence in sentences
    ]


def chance_note(phases: Iterable[Mapping[str, Any]]) -> str:
    """Returns what `(chance)` means, empty if nothing is at chance level.

    Args:
        phases: Entries in `phases`.
    """
    levels = sorted(
        {
            text.percent(phase["chance_level"])
            for phase in phases
            if phase.get("not_above_chance")
        }
    )
    if not levels:
        return ""
    return (
        f"(chance): not significantly above {' or '.join(levels)}, the "
        "accuracy of drawing a class or of always naming the most frequent one "
        f"(exact binomial test at {100 * chance.ALPHA:g} %)."
    )
