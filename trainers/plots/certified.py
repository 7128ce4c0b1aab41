"""The plot of certified accuracy over the radius."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from hydra_tf.evaluation.certificates import attack_name
from trainers.plots import figure as figures

_NORMS = {"linf": r"$L_\infty$", "l2": r"$L_2$"}


def write(
    path: pathlib.Path, result: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    """Writes a PNG file.

    Args:
        path: The file, replaced if it is there.
        result: What `metrics.json` holds about the certification.
        rows: The lines of its table; with smoothing, their radii make the
            curve.
    """
    figure = figures.make(6.4, 4.2)
    axes = figure.add_subplot()
    points = result["certified_accuracy"]
    count = result["num_examples"]
    radii = [each["radius"] for each in points]
    accuracies = [100 * each["certified_accuracy"] for each in points]
    label = f"certified ({result['method']})"
    if result["threat_model"] == "l2":
        curve = _smoothed_curve(rows)
        axes.step(*curve, where="pre", color="C0", label=label)
        axes.plot(radii, accuracies, "o", color="C0")
        end = max([*radii, float(curve[0][-1])])
    else:
        # Within no distance an image is right if it is classified so; between
        # two radii only what the larger one proves is proved.
        natural = 100 * result["natural_accuracy"]
        axes.step(
            [0, *radii],
            [natural, *accuracies],
            where="pre",
            color="C0",
            label=label,
        )
        axes.plot(radii, accuracies, "o", color="C0")
        end = max([*radii, *_epsilons(result)])
    axes.axhline(
        100 * result["natural_accuracy"],
        color="C7",
        linestyle="--",
        label="natural",
    )
    for number, each in enumerate(result["robust_accuracy"], start=1):
        axes.plot(
            each["epsilon"],
            100 * each["robust_accuracy"],
            "s",
            color=f"C{number}",
            fillstyle="none",
            markeredgewidth=2,
            markersize=9,
            label=f"under attack ({attack_name(each, count)})",
        )
    axes.set_xlim(0, 1.05 * end if end else 1)
    axes.set_ylim(0, 102)
    axes.set_xlabel(
        f"radius, {_NORMS[result['threat_model']]}, images in [0, 1]"
    )
    axes.set_ylabel("accuracy, % of the test images")
    axes.set_title(f"{result['dataset']}, {count} images", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    figures.write(path, figure)


def _smoothed_curve(
    rows: list[dict[str, Any]],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns radii and the share of images certified there, in %."""
    radii = np.sort(
        [row["radius"] for row in rows if row["prediction"] == row["label"]]
    )
    shares = 100 * np.arange(len(radii), 0, -1) / len(rows)
    # Up to an image's radius it counts, beyond it does not.
    last = radii[-1] if len(radii) else 0.0
    return (
        np.concatenate([[0.0], radii, [last]]),
        np.concatenate([shares[:1] if len(shares) else [0.0], shares, [0.0]]),
    )


def _epsilons(result: dict[str, Any]) -> list[float]:
    return [each["epsilon"] for each in result["robust_accuracy"]]
