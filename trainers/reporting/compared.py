"""The figures that compare methods: by density, compression and layer."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from trainers.plots import layers
from trainers.plots import methods
from trainers.plots import style
from trainers.reporting import section
from trainers.reporting.networks import Group
from trainers.reporting.networks import Network
from trainers.reporting.networks import Setup
from trainers.reporting.networks import Statistic


def methods_section(setups: Sequence[Setup]) -> section.Section:
    """Returns the section of methods by density, and over compression."""
    pictures, remarks = [], []
    for number, setup in enumerate(setups):
        if not setup.groups:
            remarks.append(f"{setup.name}: no run has pruned a network yet.")
            continue
        panels: dict[str, Any] = {
            "Natural accuracy": _points(setup, lambda each: each.natural)
        }
        dense = {}
        if setup.dense:
            dense["Natural accuracy"] = setup.dense.natural.mean
        attack = setup.attack
        if attack is not None:
            title = f"Robust accuracy under {attack}"
            panels[title] = _points(setup, _robust(attack))
            if setup.dense and (before := setup.dense.robust(attack)):
                dense[title] = before.mean
        pictures.append(
            section.Picture(
                f"methods_{number}",
                f"Methods by density: {setup.name}",
                "Mean and standard deviation over seeds, small dots for the "
                "seeds themselves. The dashed line is the network before "
                "pruning.",
                methods.by_density(panels, setup.targets, dense),
            )
        )
        if len(setup.targets) + bool(setup.dense) < 2:
            remarks.append(
                f"{setup.name}: one density alone makes no curve over the "
                "compression; prune to another, too."
            )
            continue
        pictures.append(
            section.Picture(
                f"compression_{number}",
                f"Accuracy against compression: {setup.name}",
                "Solid: robust accuracy. Dashed: natural accuracy. From the "
                "network before pruning (1×) to the sparsest.",
                methods.compression(
                    _over_compression(setup, lambda each: each.natural),
                    _over_compression(setup, _robust(attack)),
                    attack or "robust",
                ),
            )
        )
    return section.Section(
        "methods",
        "Methods by density",
        "The higher a method's points stay as weights go, the better it "
        "prunes. Differences within the deviation over seeds say nothing.",
        pictures,
        remarks,
    )


def _robust(attack: str | None) -> Callable[[Group], Statistic | None]:
    return lambda group: group.robust(attack)


def _points(
    setup: Setup, value: Callable[[Group], Statistic | None]
) -> dict[str, list[methods.Point]]:
    """Returns the points of each variant, placed by their density."""
    return {
        variant: [
            (setup.targets.index(group.target), *_parts(statistic))
            for group in setup.groups
            if group.variant == variant
            and (statistic := value(group)) is not None
        ]
        for variant in setup.variants
    }


def _over_compression(
    setup: Setup, value: Callable[[Group], Statistic | None]
) -> dict[str, list[methods.Point]]:
    """Returns the points of each variant, beginning before pruning."""
    start = [setup.dense] if setup.dense else []
    return {
        variant: [
            (1 / group.density, *_parts(statistic))
            for group in [
                *start,
                *(each for each in setup.groups if each.variant == variant),
            ]
            if (statistic := value(group)) is not None and group.density
        ]
        for variant in setup.variants
    }


def _parts(statistic: Statistic) -> tuple[float, float | None, Sequence[float]]:
    return statistic.mean, statistic.deviation, statistic.values


def layers_section(setups: Sequence[Setup]) -> section.Section:
    """Returns the section of what layers keep of weights and FLOPs."""
    pictures, remarks = [], []
    for number, setup in enumerate(setups):
        for target in section.extremes(setup.targets):
            groups = setup.at(target)
            first = _layer_records(groups[0].networks[0])
            names = [layer["name"] for layer in first]
            fitting = [
                group
                for group in groups
                if [e["name"] for e in _layer_records(group.networks[0])]
                == names
            ]
            if not names:
                remarks.append(
                    f"{setup.name}: what the layers keep is not recorded."
                )
                continue
            records = {
                group.variant: _layer_records(group.networks[0])
                for group in fitting
            }
            colors = [section.color(setup, group) for group in fitting]
            pictures.append(
                section.Picture(
                    f"layers_{number}_{section.file_name_of(target)}",
                    f"Layers at density {style.density(target)}: {setup.name}",
                    "What each layer keeps of its weights and of its FLOPs, "
                    "from the image downwards, of the run with the lowest "
                    "seed."
                    + (
                        " Grey: FLOPs before pruning."
                        if any(layer.get("flops") for layer in first)
                        else ""
                    ),
                    layers.draw(
                        names,
                        {
                            name: [layer["density"] for layer in each]
                            for name, each in records.items()
                        },
                        {
                            name: [
                                layer.get("effective_flops") for layer in each
                            ]
                            for name, each in records.items()
                        },
                        [layer.get("flops") for layer in first],
                        colors,
                    ),
                )
            )
    return section.Section(
        "layers",
        "Density and FLOPs by layer",
        "Where the weights that are left sit, and where the time goes. A "
        "uniform allocation keeps the same share everywhere; learned ones "
        "spare the layers that matter.",
        pictures,
        remarks or ([] if pictures else ["No run has pruned a network yet."]),
    )


def _layer_records(network: Network) -> list[dict[str, Any]]:
    return [
        layer
        for layer in network.run.metrics["sparsity"].get("layers") or ()
        if layer.get("density") is not None and layer.get("name")
    ]
