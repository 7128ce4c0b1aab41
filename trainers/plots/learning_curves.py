"""The plot of accuracies over the epochs, in training and on held-out images.

Where the robust accuracy of training rises and that of validation falls, the
network overfits: see Rice et al., 2020, https://arxiv.org/abs/2002.11569.
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from trainers.plots import figure as figures

# What every validation logs.
VALIDATION = "val_natural_accuracy"
# Thinner ones on wider ones, so that equal ones are all seen.
_CURVES = (
    ("natural", "natural_accuracy", "0.7", 3.0),
    ("robust", "robust_accuracy", "C0", 1.5),
    ("certified", "certified_accuracy", "C2", 0.8),
)
# Figures of training, and of validation.
_STYLES = (("", "training", "--"), ("val_", "validation", "-"))

History = Sequence[Mapping[str, float]]


def write(
    path: pathlib.Path,
    histories: Mapping[str, History],
    title: str,
) -> None:
    """Writes the plot that `draw` returns as a PNG file.

    Args:
        path: The file, replaced if it is there.
        histories: As for `draw`.
        title: As for `draw`.
    """
    figures.write(path, draw(histories, title))


def draw(histories: Mapping[str, History], title: str) -> Any:
    """Returns a figure with a panel for each phase.

    Args:
        histories: The figures of each epoch of each phase, one phase or more.
            The best epoch is marked where they name it.
        title: What the plot is of.
    """
    figure = figures.make(2.2 + 3.2 * len(histories), 4.2)
    panels = figure.subplots(1, len(histories), sharey=True, squeeze=False)[0]
    labels: dict[str, Any] = {}
    for axes, (phase, history) in zip(panels, histories.items(), strict=True):
        for word, name, color, width in _CURVES:
            for prefix, kind, style in _STYLES:
                points = [
                    (epoch["epoch"], 100 * epoch[prefix + name])
                    for epoch in history
                    if prefix + name in epoch
                ]
                if points:
                    (line,) = axes.plot(
                        *zip(*points, strict=True),
                        color=color,
                        linestyle=style,
                        linewidth=width,
                        # A single epoch is a point.
                        marker="." if len(points) < 20 else None,
                        label=f"{word}, {kind}",
                    )
                    labels.setdefault(line.get_label(), line)
        best = history[-1].get("best_epoch")
        if best is not None:
            line = axes.axvline(
                best, color="C3", linestyle=":", label="weights kept"
            )
            labels.setdefault(line.get_label(), line)
        axes.set_title(phase, fontsize=10)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    panels[0].set_ylim(0, 102)
    panels[0].set_ylabel("accuracy, %")
    figure.suptitle(title, fontsize=10)
    figure.legend(
        labels.values(),
        labels.keys(),
        loc="outside lower center",
        # A curve's training above its validation.
        ncols=math.ceil(len(labels) / 2) if len(histories) > 1 else 2,
        fontsize=8,
    )
    return figure
