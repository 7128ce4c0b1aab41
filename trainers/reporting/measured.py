"""The figures of one network: of its run, and what was measured later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hydra_tf import text
from hydra_tf.evaluation import chance
from trainers.reporting.runs import Run

AUTOATTACK = "autoattack"
FMN = "fmn"
# What natural accuracy is called beside the attacks.
NATURAL = "natural"
# The most trusted first: what "robust accuracy" is, where runs have several.
_TRUSTED = (AUTOATTACK, "apgd", FMN, "pgd")


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured of a network.

    Attributes:
        natural: Natural accuracy.
        robust: Robust accuracy by attack; attacks within another radius than
            that of the run have it in their name.
        certified: Certified accuracy by proof.
        settings: Settings of each attack, by the same names.
        intervals: 95 % confidence intervals by attack, and of `natural`, where
            they are known.
        curves: Robust accuracy over the radius, by minimum-norm attack.
        counts: Number of images by attack, and of `natural`.
        clean: Natural accuracy on the images of each attack.
        ball: Norm and radius, such as `"Linf 8/255"`, `""` without attacks.
    """

    natural: float
    robust: Mapping[str, float]
    certified: Mapping[str, float]
    settings: Mapping[str, Mapping[str, Any]]
    intervals: Mapping[str, tuple[float, float]]
    curves: Mapping[str, Mapping[str, Any]]
    counts: Mapping[str, int | None]
    clean: Mapping[str, float]
    ball: str


def of(run: Run, phase: str) -> Figures | None:
    """Returns what was measured of the network of a phase.

    Later evaluations add attacks and replace figures of fewer images.

    Args:
        run: The run.
        phase: The phase, or `"evaluate"` for a network without a run.
    """
    own = run.phases.get(phase)
    later = [entry for each, entry in run.evaluations if each == phase]
    entries = ([own] if own else []) + later
    if not entries:
        return None
    first = entries[0]
    # A run may have been measured without attacks.
    main = next((at for each in entries if (at := _ball_of(each))), "")
    robust: dict[str, float] = {}
    settings: dict[str, Mapping[str, Any]] = {}
    counts: dict[str, int | None] = {NATURAL: first.get("num_examples")}
    clean: dict[str, float] = {}
    certified: dict[str, float] = {}
    curves: dict[str, Mapping[str, Any]] = {}
    intervals: dict[str, tuple[float, float]] = {}
    if between := (first.get("intervals") or {}).get(chance.NATURAL):
        intervals[NATURAL] = tuple(between)
    for entry in entries:
        measured = entry.get("attacks") or {}
        count = entry.get("num_examples")
        for attack, value in (entry.get("robust_accuracy") or {}).items():
            if value is None:
                continue
            at = _ball(measured.get(attack) or {})
            name = attack if at in (main, "") else f"{attack} at {at}"
            if (counts.get(name) or 0) > (count or 0):
                continue
            robust[name], counts[name] = value, count
            clean[name] = entry["natural_accuracy"]
            settings[name] = measured.get(attack) or {}
            if between := (entry.get("intervals") or {}).get(attack):
                intervals[name] = tuple(between)
        certified |= {
            name: value
            for name, value in (entry.get("certified_accuracy") or {}).items()
            if value is not None
        }
        for attack, curve in (entry.get("curves") or {}).items():
            if curve.get("radii"):
                curves[attack] = {
                    **curve,
                    "threat_model": (measured.get(attack) or {}).get(
                        "threat_model", "linf"
                    ),
                }
    return Figures(
        first["natural_accuracy"],
        robust,
        certified,
        settings,
        intervals,
        curves,
        counts,
        clean,
        main,
    )


def trusted(names: list[set[str]]) -> str | None:
    """Returns the attack to compare networks by: one that most have.

    Args:
        names: The attacks of each network.
    """
    counts: dict[str, int] = {}
    for each in names:
        for name in each:
            counts[name] = counts.get(name, 0) + 1
    return max(
        sorted(counts),
        key=lambda name: (counts[name], _trust(name)),
        default=None,
    )


def _trust(name: str) -> int:
    ranked = list(reversed(_TRUSTED))
    return ranked.index(name) if name in ranked else -1


def _ball_of(entry: Mapping[str, Any]) -> str:
    """Returns the ball of an entry's first attack."""
    measured = (entry.get("attacks") or {}).values()
    return next((shown for each in measured if (shown := _ball(each))), "")


def _ball(settings: Mapping[str, Any]) -> str:
    if "epsilon" not in settings:
        return ""
    return text.ball(settings.get("threat_model", "linf"), settings["epsilon"])
