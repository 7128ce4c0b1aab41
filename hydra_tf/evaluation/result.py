"""What an evaluation has measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import text
from hydra_tf.evaluation.balanced import balanced_accuracy
from hydra_tf.evaluation.balanced import is_imbalanced
from hydra_tf.evaluation.chance import NATURAL
from hydra_tf.evaluation.curves import curve_of
from hydra_tf.evaluation.intervals import wilson_interval


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Evaluation:
    """What was measured; `str` is a table of it.

    Dictionaries are by the name of the attack or of the proof; smoothing's
    proofs are by radius, such as `"smoothing@0.25"`.

    Attributes:
        labels: Integer array, the classes of the images.
        predictions: Integer array, what the network takes them for.
        attacks: Settings of each attack.
        withstood: Bool array for each attack, which images are classified
            correctly under it.
        broken_by: For AutoAttack, array of the names of the attacks that broke
            the images, "" where none did.
        distances: For each attack that looks for the smallest perturbation,
            float array of its size; 0 where the network is wrong on the image
            itself, infinity where none was found.
        warnings: For AutoAttack, what makes its figure doubtful, a sentence
            each; without an entry if there is nothing.
        certification: Settings of each proof.
        certified: Bool array for each proof, which images are proved right.
        seconds: Time it took.
    """

    labels: np.ndarray
    predictions: np.ndarray
    attacks: dict[str, dict[str, Any]]
    withstood: dict[str, np.ndarray]
    broken_by: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    distances: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    warnings: dict[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    certification: dict[str, dict[str, Any]] = dataclasses.field(
        default_factory=dict
    )
    certified: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    @property
    def num_examples(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def correct(self) -> np.ndarray:
        """Bool array, which images are classified correctly."""
        return self.predictions == self.labels

    @property
    def natural_accuracy(self) -> float:
        """Fraction of the images classified correctly."""
        return _share(self.correct)

    @property
    def robust_accuracy(self) -> dict[str, float]:
        """The same under each attack."""
        return {name: _share(each) for name, each in self.withstood.items()}

    @property
    def certified_accuracy(self) -> dict[str, float]:
        """Fraction of the images proved right, by proof."""
        return {name: _share(each) for name, each in self.certified.items()}

    @property
    def intervals(self) -> dict[str, list[float]]:
        """Ends of the 95 % interval of each accuracy, after Wilson.

        `"natural_accuracy"` stands beside the names of attacks and proofs.
        """
        return {
            name: list(wilson_interval(int(np.sum(each)), len(each)))
            for name, each in self._answers.items()
        }

    @property
    def balanced_accuracy(self) -> dict[str, float]:
        """Mean over the classes of each accuracy, by the same names."""
        return {
            name: balanced_accuracy(self.labels, each)
            for name, each in self._answers.items()
        }

    @property
    def curves(self) -> dict[str, dict[str, Any]]:
        """Robust accuracy over the radius, for each of `distances`.

        Each has `radii`, the `robust_accuracy` at these, and the
        `median_distance`: the radius within which half of the images fall,
        `None` if fewer do. For other radii, see `security_curve`.
        """
        return {
            name: curve_of(
                each,
                self.attacks[name]["epsilon"],
                self.attacks[name]["threat_model"],
            )
            for name, each in self.distances.items()
        }

    @property
    def _answers(self) -> dict[str, np.ndarray]:
        return {NATURAL: self.correct, **self.withstood, **self.certified}

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
            "intervals": self.intervals,
            "balanced_accuracy": self.balanced_accuracy,
            "warnings": {
                name: list(each) for name, each in self.warnings.items()
            },
            "curves": self.curves,
            "num_examples": self.num_examples,
            "evaluation_seconds": self.seconds,
        }

    def examples(self) -> tuple[list[str], list[list[Any]]]:
        """Returns a table of the images: names of its columns, and its rows.

        The columns are `index`, `label`, `predicted`, `correct`, and for the
        attacks and proofs that have it `robust.NAME`, `broken_by.NAME`,
        `distance.NAME` and `certified.NAME`. Numbers are Python's; 1 is yes.
        """
        columns: dict[str, np.ndarray] = {
            "index": np.arange(self.num_examples),
            "label": self.labels,
            "predicted": self.predictions,
            "correct": self.correct.astype(int),
        }
        for kind, answers in (
            ("robust", self.withstood),
            ("broken_by", self.broken_by),
            ("distance", self.distances),
            ("certified", self.certified),
        ):
            for name, each in answers.items():
                each = each.astype(int) if each.dtype == bool else each
                columns[f"{kind}.{name}"] = each
        rows = zip(*(each.tolist() for each in columns.values()), strict=True)
        return list(columns), [list(row) for row in rows]

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

    def __repr__(self) -> str:
        return f"Evaluation({self.summary()})"

    def __str__(self) -> str:
        names = [
            "natural",
            *(
                f"robust under {name}, {_settings(self.attacks[name])}"
                for name in self.withstood
            ),
            *(
                f"certified by {name.partition('@')[0]}, "
                f"{_settings(self.certification[name])}"
                for name in self.certified
            ),
        ]
        header = [f"{self.num_examples} images", "accuracy", "95 % interval"]
        columns = [
            [text.percent(_share(each)) for each in self._answers.values()],
            [text.percent_range(*each) for each in self.intervals.values()],
        ]
        if is_imbalanced(self.labels):
            header.append("balanced")
            balanced = self.balanced_accuracy.values()
            columns.append([text.percent(each) for each in balanced])
        rows = zip(names, *columns, strict=True)
        lines = [text.table(header, [list(row) for row in rows])]
        for name, curve in self.curves.items():
            median = curve["median_distance"]
            # 0 where the network is wrong on half of them unattacked.
            if median:
                norm = self.attacks[name]["threat_model"]
                lines.append(
                    f"{name}: half of the images fall within "
                    f"{text.ball(norm, median)}"
                )
        for name, sentences in self.warnings.items():
            lines += [f"warning: {name}: {each}" for each in sentences]
        return "\n".join(lines)


def _share(answers: np.ndarray) -> float:
    return float(np.mean(answers))


def _settings(record: Mapping[str, Any]) -> str:
    """Returns the settings that tell most about a figure."""
    radius = record["epsilon"] if "epsilon" in record else record["radius"]
    words = [text.ball(record["threat_model"], radius)]
    for name, word in (
        ("num_steps", "step"),
        ("num_restarts", "restart"),
        ("num_samples", "sample"),
    ):
        if name in record:
            count = record[name]
            words.append(f"{count} {word}{'' if count == 1 else 's'}")
    return ", ".join(words)
