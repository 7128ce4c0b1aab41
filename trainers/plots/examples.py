"""The plot of images, their adversarial versions, and the difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainers.plots import style

_COLUMNS = ("image", "adversarial", "perturbation")


@dataclasses.dataclass(frozen=True)
class Example:
    """An image and what an attack made of it.

    Attributes:
        image: Floats in [0, 1], `(height, width, channels)`.
        adversarial: The same, perturbed.
        label: Name of its class.
        before: Name of the class predicted for the image.
        after: That predicted for the adversarial version.
        confidences: The network's confidence in these two.
    """

    image: np.ndarray
    adversarial: np.ndarray
    label: str
    before: str
    after: str
    confidences: tuple[float, float]


@style.styled
def draw(examples: Sequence[Example], times: float) -> Any:
    """Returns a figure with a row for each image.

    Args:
        examples: The images.
        times: By how much perturbations are magnified.
    """
    figure = style.make(0.25 + 1.5 * len(examples))
    grid = figure.subplots(len(examples), 3, squeeze=False)
    for row, each in zip(grid, examples, strict=True):
        change = 0.5 + times * (each.adversarial - each.image)
        pictures = (each.image, each.adversarial, np.clip(change, 0, 1))
        words = (
            _words(each.before, each.label, each.confidences[0]),
            _words(each.after, each.label, each.confidences[1]),
            f"× {times:.3g}",
        )
        for axes, picture, below in zip(row, pictures, words, strict=True):
            if picture.shape[-1] not in (3, 4):
                picture = picture[..., 0]
            axes.imshow(
                picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest"
            )
            axes.set_axis_off()
            axes.text(
                0.5,
                -0.04,
                below,
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=8.5,
            )
    for axes, title in zip(grid[0], _COLUMNS, strict=True):
        axes.set_title(title, loc="center", pad=4)
    return figure


def _words(predicted: str, label: str, confidence: float) -> str:
    """Returns what was predicted, and whether it is right."""
    mark = "✓" if predicted == label else "✗"
    return f"{mark} {_short(predicted)}, {100 * confidence:.0f} %"


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"
