"""What a certification amounts to: accuracies, a table, a check."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from flags.certify_flags import CertifySettings
from hydra_tf import smoothing
from hydra_tf import text
from hydra_tf.errors import ContradictionError
from trainers.run import environment
from trainers.run import source
from trainers.run.folder import RunFolder


def flag_name(radius: float) -> str:
    """Returns the column that says whether an image is certified."""
    return f"certified_{radius:.6g}"


def known_robustness(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns what attacks left of the same network, if a run recorded it."""
    phase: str | None = path.stem
    if path.suffix == ".keras" and path.parent.name == "checkpoints":
        folder = RunFolder(path.parent.parent)
    else:
        folder = RunFolder(path.parent)
        phase = folder.last_finished() if path.is_dir() else None
    if phase is None or not folder.finished(phase).is_file():
        return []
    measured = folder.read_metrics().get("phases", {}).get(phase, {})
    digest = source.fingerprint(folder.finished(phase))
    if measured.get("checkpoint") != digest:
        return []
    return [
        {
            "attack": name,
            "robust_accuracy": accuracy,
            "num_examples": measured["num_examples"],
            "epsilon": measured["attacks"][name]["epsilon"],
            "threat_model": measured["attacks"][name]["threat_model"],
        }
        for name, accuracy in measured["robust_accuracy"].items()
    ]


def summarise(
    parsed: CertifySettings,
    rows: list[dict[str, Any]],
    natural: np.ndarray,
    known: list[dict[str, Any]],
) -> dict[str, Any]:
    """Returns the section of `metrics.json`.

    Args:
        parsed: What the flags say.
        rows: The lines of `certify.tsv`.
        natural: Which of the images the network gets right.
        known: What attacks left of the network.
    """
    result: dict[str, Any] = {
        "command": environment.command(),
        "source": parsed.source,
        "dataset": parsed.dataset,
        "method": parsed.method,
        "threat_model": parsed.threat_model,
        "num_examples": len(rows),
        "natural_accuracy": float(np.mean(natural)),
        "certified_accuracy": [
            {
                "radius": radius,
                "certified_accuracy": float(
                    np.mean([row[flag_name(radius)] for row in rows])
                ),
            }
            for radius in parsed.radii
        ],
        "robust_accuracy": [
            each
            for each in known
            if each["threat_model"] == parsed.threat_model
        ],
        "seconds": round(sum(row["seconds"] for row in rows), 3),
        "environment": environment.describe(),
    }
    if parsed.smooths:
        right = [row["prediction"] == row["label"] for row in rows]
        result |= {
            "sigma": parsed.sigma,
            "n0": parsed.n0,
            "n": parsed.n,
            "alpha": parsed.alpha,
            "seed": parsed.seed,
            "smoothed_accuracy": float(np.mean(right)),
            "abstained": float(
                np.mean([row["prediction"] < 0 for row in rows])
            ),
        }
    else:
        result["dtype"] = parsed.dtype
    return result


def largest_radius(parsed: CertifySettings) -> float:
    """Returns the radius that is certified if every noisy copy agrees."""
    if not parsed.smooths:
        return np.inf
    share = smoothing.lower_confidence_bound(parsed.n, parsed.n, parsed.alpha)
    return float(smoothing.certified_radius(share, parsed.sigma))


def attack_name(each: dict[str, Any], num_examples: int) -> str:
    """Returns an attack's name, with its images if they are others.

    Args:
        each: One of the known attacks.
        num_examples: Number of images that were certified.
    """
    if each["num_examples"] == num_examples:
        return each["attack"]
    return f"{each['attack']} on {each['num_examples']} images"


def table(parsed: CertifySettings, result: dict[str, Any]) -> str:
    """Returns the accuracies for people.

    Args:
        parsed: What the flags say.
        result: The section of `metrics.json`.
    """
    norm = {"linf": "Linf", "l2": "L2"}[parsed.threat_model]
    rows = [["natural", text.percent(result["natural_accuracy"])]]
    if parsed.smooths:
        rows.append(["smoothed", text.percent(result["smoothed_accuracy"])])
    rows += [
        [
            f"{attack_name(each, result['num_examples'])}, {norm} "
            f"{_shown(each['epsilon'])}",
            text.percent(each["robust_accuracy"]),
        ]
        for each in result["robust_accuracy"]
    ]
    rows += [
        [
            f"certified, {norm} {_shown(each['radius'])}",
            text.percent(each["certified_accuracy"]),
        ]
        for each in result["certified_accuracy"]
    ]
    return text.table([f"{result['num_examples']} images", "accuracy"], rows)


def _shown(radius: float) -> str:
    """Returns a radius as people write it: `0.2`, or `2/255`."""
    shown = f"{radius:.4g}"
    levels = radius * 255
    if float(shown) != radius and abs(levels - round(levels)) < 1e-6 * levels:
        return f"{round(levels)}/255"
    return shown


def check_against_attacks(
    parsed: CertifySettings,
    result: dict[str, Any],
    known: list[dict[str, Any]],
) -> None:
    """Compares what is proved with what attacks left of the same images.

    Args:
        parsed: What the flags say.
        result: The section of `metrics.json`.
        known: What attacks left of the network.

    Raises:
        ContradictionError: If more is proved than an attack left.
    """
    for each in known:
        if parsed.smooths or (
            each["threat_model"],
            each["num_examples"],
        ) != (parsed.threat_model, result["num_examples"]):
            continue
        for proof in result["certified_accuracy"]:
            if (
                proof["radius"] >= each["epsilon"]
                and proof["certified_accuracy"] > each["robust_accuracy"]
            ):
                raise ContradictionError(
                    f"{parsed.method} certifies "
                    f"{text.percent(proof['certified_accuracy'])} within "
                    f"{proof['radius']:.4g}, but {each['attack']} left only "
                    f"{text.percent(each['robust_accuracy'])} within "
                    f"{each['epsilon']:.4g}: the bounds are wrong. This is a "
                    "defect of hydra_tf; please report it"
                )
