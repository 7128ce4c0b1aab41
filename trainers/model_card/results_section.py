"""What was measured: the sections of a card with its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hydra_tf import text
from trainers.model_card import meanings
from trainers.model_card.entries import as_mapping
from trainers.model_card.entries import ends_with_prune
from trainers.model_card.entries import result as result_of
from trainers.model_card.entries import section
from trainers.run import records
from trainers.terminal import results

_DETAILS = (
    "Intervals are Wilson's at 95 % confidence. Balanced accuracy is the mean "
    "over the classes; it is given where it differs by a "
    "point or more."
)


def write(metrics: Mapping[str, Any]) -> str:
    """Returns the figures after each phase, and how they were measured.

    Args:
        metrics: What `metrics.json` holds.
    """
    phases = section(metrics, "phases")
    if not phases:
        return ""
    attacks, proofs = (
        list(
            dict.fromkeys(
                name
                for phase in phases.values()
                for name in section(phase, key)
            )
        )
        for key in ("robust_accuracy", "certified_accuracy")
    )
    is_result = ends_with_prune(metrics)
    rows = []
    for name, phase in phases.items():
        rows.append(
            [
                meanings.of_phase(name, is_result=is_result),
                *results.accuracies(phase, attacks, proofs),
                text.number(phase.get("num_examples")),
                text.number(phase.get("epochs")),
                text.duration(phase.get("seconds")),
            ]
        )
        for words, further in results.details(phase, attacks, proofs).items():
            rows.append([words, *further, "", "", ""])
    header = [
        "after phase",
        "natural accuracy",
        *(f"robust accuracy, {attack}" for attack in attacks),
        *(f"certified accuracy, {proof}" for proof in proofs),
        "test images",
        "epochs",
        "training time",
    ]
    parts = ["## Results", text.markdown_table(header, rows)]
    note = results.chance_note(map(as_mapping, phases.values()))
    if note:
        parts.append(note)
    if any(section(phase, "balanced_accuracy") for phase in phases.values()):
        parts.append(_DETAILS)
    parts += [
        f"**{line[:1].upper()}{line[1:]}**"
        for line in results.warnings(
            [(name, as_mapping(phase), {}) for name, phase in phases.items()]
        )
    ]
    described = [
        _measure(name, settings, meanings.of_attack(name))
        for name, settings in section(metrics, "attacks").items()
    ]
    if described:
        parts.append("The attacks:\n\n" + "\n".join(described))
    proved = [
        _measure(name, settings, meanings.of_proof(name))
        for name, settings in section(metrics, "certification").items()
    ]
    if proved:
        parts.append("The proofs:\n\n" + "\n".join(proved))
    uncertainty = _uncertainty(result_of(metrics))
    if uncertainty:
        parts.append(uncertainty)
    return "\n\n".join(parts)


def write_comparison(metrics: Mapping[str, Any]) -> str:
    """Returns the table of methods that pruned the same network.

    Args:
        metrics: What `metrics.json` holds.
    """
    entries = section(metrics, "comparison")
    if not entries:
        return ""
    rows = records.comparison(
        {name: as_mapping(entry) for name, entry in entries.items()}
    )
    return (
        "## Methods compared\n\nEach pruned and fine-tuned the same pretrained "
        "network; their folders are in `compare`.\n\n"
        + text.markdown_table(*results.cells(rows))
    )


def _measure(name: str, settings: Mapping[str, Any], meaning: str) -> str:
    """Returns the list item that describes an attack or a proof."""
    settings = dict(settings)
    words = [meaning] if meaning else []
    threat_model = settings.pop("threat_model", None)
    if threat_model is not None:
        words.append(meanings.THREAT_MODELS.get(threat_model, threat_model))
    for key in ("epsilon", "step_size"):
        if key in settings:
            value = text.radius(settings.pop(key))
            words.append(f"{key.replace('_', ' ')} {value}")
    for key, value in settings.items():
        words.append(f"{key.removeprefix('num_').replace('_', ' ')} {value}")
    return f"- **{name}**: {', '.join(words) or 'settings not recorded'}"


def _uncertainty(result: Mapping[str, Any]) -> str:
    """Says how far a figure may be off because the test set is finite."""
    count, share = result.get("num_examples"), result.get("natural_accuracy")
    shares = [
        share,
        *section(result, "robust_accuracy").values(),
        *section(result, "certified_accuracy").values(),
    ]
    shares = [each for each in shares if each is not None]
    if not count or not shares:
        return ""
    widest = max(each * (1 - each) for each in shares)
    points = 100 * 1.96 * math.sqrt(widest / count)
    return (
        f"Measured on {count:,} images, a figure may differ by up to about "
        f"{points:.1f} points from that on many more (95 % confidence), the "
        "variation between training runs not counted."
    )
