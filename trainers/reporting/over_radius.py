"""The figures over the radius: security curves, certified accuracy."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Sequence
from typing import Any

from trainers.plots import radii
from trainers.plots import style
from trainers.reporting import section
from trainers.reporting.networks import DENSE
from trainers.reporting.networks import Group
from trainers.reporting.networks import Network
from trainers.reporting.networks import Setup
from trainers.reporting.runs import Run
from trainers.terminal import startup


def security_section(setups: Sequence[Setup]) -> section.Section:
    """Returns the section of security curves."""
    pictures, remarks = [], []
    for number, setup in enumerate(setups):
        measured = [
            (group, network, attack, curve)
            for group in setup.everything
            for network in group.networks
            for attack, curve in network.figures.curves.items()
        ]
        kinds = {(each[2], each[3]["threat_model"]) for each in measured}
        for kind, norm in sorted(kinds):
            chosen = [
                each
                for each in measured
                if (each[2], each[3]["threat_model"]) == (kind, norm)
            ]
            pictures.append(
                section.Picture(
                    f"security_{number}_{section.file_name(kind)}_{norm}",
                    f"Security curves under {kind}: {setup.name}",
                    "The share of the images that withstand perturbations up "
                    "to a radius, of all radii in one run of a minimum-norm "
                    "attack. The dotted line is the radius of the others.",
                    radii.draw(
                        [
                            radii.Curve(
                                _label(group, network),
                                curve["radii"],
                                curve["robust_accuracy"],
                                section.color(setup, group),
                                section.line(setup, group),
                            )
                            for group, network, _, curve in chosen
                        ],
                        norm,
                        "robust accuracy",
                        _radius(chosen[0][1]),
                    ),
                )
            )
    if not pictures:
        remarks.append(
            "No run has the curve of a minimum-norm attack; "
            f"{startup.program('evaluate')} measures it "
            "with --eval_attacks=fmn."
        )
    return section.Section(
        "security",
        "Security curves",
        "One number at one radius hides how a network gives way. A curve that "
        "falls to zero says that the attack works; one that stays up at large "
        "radii says that it does not.",
        pictures,
        remarks,
    )


def _radius(network: Network) -> float | None:
    for settings in network.figures.settings.values():
        if settings.get("epsilon"):
            return settings["epsilon"]
    return None


def certified_section(
    setups: Sequence[Setup], runs: Sequence[Run]
) -> section.Section:
    """Returns the section of certified accuracy over the radius."""
    curves: dict[str, list[radii.Curve]] = {}
    places = {
        (network.run, network.phase): (setup, group)
        for setup in setups
        for group in setup.everything
        for network in group.networks
    }
    for run in runs:
        for number, (phase, record, folder) in enumerate(run.certificates):
            setup, group = places.get((run, phase), (None, None))
            xs, ys = _certificate(record, folder)
            if not xs:
                continue
            name = run.name
            if phase in run.phases and phase != run.last_phase:
                name += f" after {phase}"
            norm = record.get("threat_model", "linf")
            others = curves.setdefault(norm, [])
            others.append(
                radii.Curve(
                    f"{name}, {record.get('method')}, "
                    f"{record.get('num_examples')} images",
                    xs,
                    ys,
                    section.color(setup, group)
                    if setup and group
                    else len(others),
                    number
                    + (section.line(setup, group) if setup and group else 0),
                    "steps-pre",
                )
            )
    pictures = [
        section.Picture(
            f"certified_{norm}",
            f"Certified accuracy over the radius, {norm.capitalize()}",
            "The share of the images whose class is proved within the radius: "
            "no attack can find anything there.",
            radii.draw(each, norm, "certified accuracy"),
        )
        for norm, each in sorted(curves.items())
    ]
    remarks = (
        []
        if pictures
        else [f"No run was certified: {startup.program('certify')} does it."]
    )
    return section.Section(
        "certified",
        "Certified accuracy",
        "What is proved lies below what attacks leave, and between the two is "
        "what nobody knows.",
        pictures,
        remarks,
    )


def _certificate(
    record: dict[str, Any], folder: pathlib.Path
) -> tuple[list[float], list[float]]:
    """Returns radii and certified accuracies, of a table where that is."""
    points = [
        (each["radius"], each["certified_accuracy"])
        for each in record.get("certified_accuracy") or ()
    ]
    table = folder / "certify.tsv"
    if record.get("threat_model") == "l2" and table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(
                csv.DictReader(
                    (line for line in file if not line.startswith("# ")),
                    delimiter="\t",
                )
            )
        right = sorted(
            float(row["radius"])
            for row in rows
            if row.get("radius") and row["prediction"] == row["label"]
        )
        if right:
            shares = [(len(right) - i) / len(rows) for i in range(len(right))]
            return [0.0, *right], [shares[0], *shares]
    natural = record.get("natural_accuracy")
    if natural is not None and points and points[0][0] > 0:
        points.insert(0, (0.0, natural))
    return [x for x, _ in points], [y for _, y in points]


def _label(group: Group, network: Network) -> str:
    words = [group.variant]
    if group.variant != DENSE:
        words.append(style.density(group.target))
    if len(group.networks) > 1:
        words.append(f"seed {network.seed}")
    return ", ".join(words)
