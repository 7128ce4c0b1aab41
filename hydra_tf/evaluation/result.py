"""What an evaluation has measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import text

_NORMS = {"linf": "Linf", "l2": "L2"}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What was measured; `str` is a table of it.

    Attributes:
        natural_accuracy: Fraction of the images classified correctly.
        robust_accuracy: The same under each attack, by its name.
        attacks: Settings of each attack, by its name.
        certified_accuracy: Fraction of the images proved right, by method;
            smoothing's by radius, such as `"smoothing@0.25"`.
        certification: Settings of each proof, by the same names.
        num_examples: Number of images.
        seconds: Time it took.
        correct: Bool array, which images are classified correctly.
        withstood: Bool array for each attack, which are so under it.
        certified: Bool array for each proof, which are proved right.
    """

    natural_accuracy: float
    robust_accuracy: dict[str, float]
    attacks: dict[str, dict[str, Any]]
    certified_accuracy: dict[str, float]
    certification: dict[str, dict[str, Any]]
    num_examples: int
    seconds: float
    correct: np.ndarray
    withstood: dict[str, np.ndarray]
    certified: dict[str, np.ndarray]

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures and settings, as `metrics.json` holds them."""
        record: dict[str, Any] = {
            "natural_accuracy": self.natural_accuracy,
            "robust_accuracy": self.robust_accuracy,
            "attacks": self.attacks,
        }
        if self.certification:
            record["certified_accuracy"] = self.certified_accuracy
            record["certification"] = self.certification
        return record | {
            "num_examples": self.num_examples,
            "evaluation_seconds": self.seconds,
        }

    def summary(self) -> str:
        """Returns the figures in one line."""
        robust = ", ".join(
            f"{text.percent(value)} under {name}"
            for name, value in self.robust_accuracy.items()
        )
        certified = ", ".join(
            f"{text.percent(value)} by {name}"
            for name, value in self.certified_accuracy.items()
        )
        certified = f", certified {certified}" if certified else ""
        return (
            f"natural {text.percent(self.natural_accuracy)}, robust "
            f"{robust or '-'}{certified} ({self.num_examples} images, "
            f"{text.duration(self.seconds)})"
        )

    def __str__(self) -> str:
        rows = [["natural", text.percent(self.natural_accuracy)]]
        rows += [
            [
                f"robust under {name}, {_settings(self.attacks[name])}",
                text.percent(value),
            ]
            for name, value in self.robust_accuracy.items()
        ]
        rows += [
            [
                f"certified by {name.partition('@')[0]}, "
                f"{_settings(self.certification[name])}",
                text.percent(value),
            ]
            for name, value in self.certified_accuracy.items()
        ]
        return text.table([f"{self.num_examples} images", "accuracy"], rows)


def ball(threat_model: str, radius: float) -> str:
    """Returns a radius as people write it: `"Linf 0.2"`, `"Linf 2/255"`."""
    shown = f"{radius:.4g}"
    levels = radius * 255
    if float(shown) != radius and abs(levels - round(levels)) < 1e-6 * levels:
        shown = f"{round(levels)}/255"
    return f"{_NORMS[threat_model]} {shown}"


def _settings(record: Mapping[str, Any]) -> str:
    """Returns the settings that tell most about a figure."""
    radius = record["epsilon"] if "epsilon" in record else record["radius"]
    words = [ball(record["threat_model"], radius)]
    for name, word in (
        ("num_steps", "step"),
        ("num_restarts", "restart"),
        ("num_samples", "sample"),
    ):
        if name in record:
            count = record[name]
            words.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ", ".join(words)
