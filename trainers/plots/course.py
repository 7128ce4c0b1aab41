"""The plot of a run's accuracies over its epochs, phase after phase."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from trainers.plots import style

_CURVES = (
    ("natural", "natural_accuracy", style.GREY),
    ("robust", "robust_accuracy", style.SERIES[0]),
    ("certified", "certified_accuracy", style.SERIES[2]),
)
# Figures of training, and of validation.
_KINDS = (("", "training", "--", 1.2), ("val_", "validation", "-", 1.8))

Histories = Mapping[str, Sequence[Mapping[str, float]]]


def has_accuracies(histories: Histories) -> bool:
    """Whether there is anything to draw."""
    return any(
        epoch.get(prefix + name) is not None
        for history in histories.values()
        for epoch in history
        for _, name, _ in _CURVES
        for prefix, *_ in _KINDS
    )


@style.styled
def draw(histories: Histories) -> Any:
    """Returns a figure of accuracies over the epochs.

    Args:
        histories: The figures of each epoch of each phase.
    """
    figure = style.make(3.2)
    axes = figure.add_subplot()
    start = 0
    for phase, history in histories.items():
        for word, name, color in _CURVES:
            for prefix, kind, line, width in _KINDS:
                points = [
                    (start + epoch["epoch"], 100 * epoch[prefix + name])
                    for epoch in history
                    if epoch.get(prefix + name) is not None
                ]
                if points:
                    axes.plot(
                        *zip(*points, strict=True),
                        color=color,
                        linestyle=line,
                        linewidth=width,
                        marker="." if len(points) < 3 else None,
                        label=f"{word}, {kind}",
                    )
        axes.axvline(start + 0.5, color=style.GREY, linewidth=0.8)
        axes.annotate(
            phase,
            (start + 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8,
        )
        start += int(history[-1]["epoch"])
    axes.set_xlim(0.5, start + 0.5)
    axes.set_ylim(0, 103)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch, phase after phase")
    axes.set_ylabel("accuracy, %")
    style.legend(figure, axes)
    return figure
