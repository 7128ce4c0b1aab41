"""What a certification amounts to: accuracies, a table, a check."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import smoothing
from hydra_tf import text
from hydra_tf.evaluation import contradictions
from hydra_tf.evaluation.settings import CertificationSettings


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Certificates:
    """What `certify` returns; `str` is a table of it.

    Attributes:
        settings: How it was certified.
        rows: A dictionary for each image: `index`, `label`, `prediction` (-1
            where smoothing abstains), `certified_...` of each radius (0 or 1),
            `seconds`, and with smoothing the `radius`.
        natural: Bool array, which images the network itself gets right.
        attacked: What attacks left of the network, within the same norm:
            `attack`, `epsilon`, `threat_model`, `robust_accuracy`,
            `num_examples`.
    """

    settings: CertificationSettings
    rows: list[dict[str, Any]]
    natural: np.ndarray
    attacked: tuple[Mapping[str, Any], ...] = ()

    def certified(self, radius: float) -> np.ndarray:
        """Returns which images are certified, a Bool array."""
        return np.array([row[column(radius)] for row in self.rows], bool)

    @property
    def largest_radius(self) -> float:
        """The radius that is certified if every noisy copy agrees."""
        settings = self.settings
        if not settings.smooths:
            return np.inf
        share = smoothing.lower_confidence_bound(
            settings.n, settings.n, settings.alpha
        )
        return float(smoothing.certified_radius(share, settings.sigma))

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures and settings, as `metrics.json` holds them."""
        shares = {
            radius: float(np.mean(self.certified(radius)))
            for radius in self.settings.certified_radii
        }
        record: dict[str, Any] = {
            "method": self.settings.method,
            "threat_model": self.settings.threat_model,
            "num_examples": len(self.rows),
            "natural_accuracy": float(np.mean(self.natural)),
            "certified_accuracy": [
                {"radius": radius, "certified_accuracy": share}
                for radius, share in shares.items()
            ],
            "robust_accuracy": [dict(each) for each in self.attacked],
            "seconds": round(sum(row["seconds"] for row in self.rows), 3),
            **self.settings.record,
        }
        if self.settings.smooths:
            right = [row["prediction"] == row["label"] for row in self.rows]
            abstained = [row["prediction"] < 0 for row in self.rows]
            record["smoothed_accuracy"] = float(np.mean(right))
            record["abstained"] = float(np.mean(abstained))
        return record

    def __str__(self) -> str:
        record = self.to_dict()
        norm = self.settings.threat_model
        rows = [["natural", text.percent(record["natural_accuracy"])]]
        if self.settings.smooths:
            rows.append(["smoothed", text.percent(record["smoothed_accuracy"])])
        rows += [
            [
                f"{attack_name(each, len(self.rows))}, "
                f"{text.ball(norm, each['epsilon'])}",
                text.percent(each["robust_accuracy"]),
            ]
            for each in self.attacked
        ]
        rows += [
            [
                f"certified, {text.ball(norm, each['radius'])}",
                text.percent(each["certified_accuracy"]),
            ]
            for each in record["certified_accuracy"]
        ]
        return text.table([f"{len(self.rows)} images", "accuracy"], rows)

    def check(self) -> None:
        """Compares what is proved with what attacks left of as many images.

        Raises:
            ContradictionError: If bounds prove more than an attack left.
        """
        if self.settings.smooths:
            return
        for attack in self.attacked:
            if attack["num_examples"] == len(self.rows):
                for proof in self.to_dict()["certified_accuracy"]:
                    contradictions.check_accuracies(
                        self.settings.method, proof, attack
                    )


def column(radius: float) -> str:
    """Returns the name of what says whether an image is certified."""
    return f"certified_{radius:.6g}"


def attack_name(attack: Mapping[str, Any], num_examples: int) -> str:
    """Returns an attack's name, with its images if they are others.

    Args:
        attack: One of `Certificates.attacked`.
        num_examples: Number of images that were certified.
    """
    if attack["num_examples"] == num_examples:
        return attack["attack"]
    return f"{attack['attack']} on {attack['num_examples']} images"


def of_norm(
    attacked: Iterable[Mapping[str, Any]], threat_model: str
) -> tuple[Mapping[str, Any], ...]:
    """Returns the attacks that measure perturbations in a norm."""
    return tuple(
        each for each in attacked if each["threat_model"] == threat_model
    )
