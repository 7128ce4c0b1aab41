"""The figures of a report: which there are, of what, with their captions.

What runs lack leaves no empty figure but a remark.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES
from trainers.plots import course
from trainers.plots import examples
from trainers.plots import layers
from trainers.plots import methods
from trainers.plots import radii
from trainers.plots import style
from trainers.plots import weights
from trainers.reporting import attacked
from trainers.reporting import kept
from trainers.reporting.networks import DENSE
from trainers.reporting.networks import Group
from trainers.reporting.networks import Network
from trainers.reporting.networks import Setup
from trainers.reporting.networks import Statistic
from trainers.reporting.runs import Run

# Networks whose weights are read, and which are attacked: one for a variant.
_MOST_NETWORKS = 4
_MOST_DENSITIES = 3
_MOST_COURSES = 24


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: That of its PNG file, without suffix.
        title: What it shows.
        caption: How to read it.
        figure: The figure of matplotlib.
    """

    name: str
    title: str
    caption: str
    figure: Any


@dataclasses.dataclass(frozen=True)
class Section:
    """Figures about one thing.

    Attributes:
        name: Short name, of the link to it.
        title: Heading.
        text: What one sees.
        pictures: The figures, perhaps none.
        remarks: What is left out and why.
    """

    name: str
    title: str
    text: str
    pictures: list[Picture]
    remarks: list[str]


def sections(
    setups: Sequence[Setup],
    runs: Sequence[Run],
    *,
    images: int,
    data_dir: str | None,
    say: Callable[[str], None],
) -> list[Section]:
    """Returns the sections of figures, in the order of the page.

    Args:
        setups: What can be compared.
        runs: All runs.
        images: Number of images of a panel, 0 for none.
        data_dir: Where prepared data sets are, if not where the runs had them.
        say: Told what takes long.
    """
    found = [
        _methods(setups),
        _curves(setups),
        _certified(setups, runs),
        _layers(setups),
        _weights(setups, say),
        _courses(runs),
    ]
    if images:
        found.append(_examples(setups, images, data_dir, say))
    return found


def _methods(setups: Sequence[Setup]) -> Section:
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
        if attack:
            title = f"Robust accuracy under {attack}"
            panels[title] = _points(setup, lambda each: each.robust(attack))
            if setup.dense and (before := setup.dense.robust(attack)):
                dense[title] = before.mean
        pictures.append(
            Picture(
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
            Picture(
                f"compression_{number}",
                f"Accuracy against compression: {setup.name}",
                "Solid: robust accuracy. Dashed: natural accuracy. From the "
                "network before pruning (1×) to the sparsest.",
                methods.compression(
                    _over_compression(setup, lambda each: each.natural),
                    _over_compression(setup, lambda each: each.robust(attack)),
                    attack or "robust",
                ),
            )
        )
    return Section(
        "methods",
        "Methods by density",
        "The higher a method's points stay as weights go, the better it "
        "prunes. Differences within the deviation over seeds say nothing.",
        pictures,
        remarks,
    )


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


def _curves(setups: Sequence[Setup]) -> Section:
    pictures, remarks = [], []
    for number, setup in enumerate(setups):
        measured = [
            (group, network, attack, curve)
            for group in setup.everything
            for network in group.networks
            for attack, curve in network.figures.curves.items()
        ]
        kinds = {(each[2], each[3]["threat_model"]) for each in measured}
        for kind, norm in sorted(kinds):
            chosen = [
                each
                for each in measured
                if (each[2], each[3]["threat_model"]) == (kind, norm)
            ]
            pictures.append(
                Picture(
                    f"security_{number}_{_file_name(kind)}_{norm}",
                    f"Security curves under {kind}: {setup.name}",
                    "The share of the images that withstand perturbations up "
                    "to a radius, of all radii in one run of a minimum-norm "
                    "attack. The dotted line is the radius of the others.",
                    radii.draw(
                        [
                            radii.Curve(
                                _label(group, network),
                                curve["radii"],
                                curve["robust_accuracy"],
                                _color(setup, group),
                                _line(setup, group),
                            )
                            for group, network, _, curve in chosen
                        ],
                        norm,
                        "robust accuracy",
                        _radius(chosen[0][1]),
                    ),
                )
            )
    if not pictures:
        remarks.append(
            "No run has a minimum-norm attack's curve: measure with "
            "--eval_attacks=fmn, see the leaderboard below for a command."
        )
    return Section(
        "security",
        "Security curves",
        "One number at one radius hides how a network gives way. A curve that "
        "falls to zero says that the attack works; one that stays up at large "
        "radii says that it does not.",
        pictures,
        remarks,
    )


def _radius(network: Network) -> float | None:
    for settings in network.figures.settings.values():
        if settings.get("epsilon"):
            return settings["epsilon"]
    return None


def _certified(setups: Sequence[Setup], runs: Sequence[Run]) -> Section:
    curves: dict[str, list[radii.Curve]] = {}
    places = {
        network.run: (setup, group)
        for setup in setups
        for group in setup.everything
        for network in group.networks
    }
    for run in runs:
        for number, (record, folder) in enumerate(run.certificates):
            setup, group = places.get(run, (None, None))
            xs, ys = _certificate(record, folder)
            if not xs:
                continue
            curves.setdefault(record.get("threat_model", "linf"), []).append(
                radii.Curve(
                    f"{run.name}, {record.get('method')}, "
                    f"{record.get('num_examples')} images",
                    xs,
                    ys,
                    _color(setup, group) if setup and group else len(curves),
                    number + (_line(setup, group) if setup and group else 0),
                    "steps-pre",
                )
            )
    pictures = [
        Picture(
            f"certified_{norm}",
            f"Certified accuracy over the radius, {norm.capitalize()}",
            "The share of the images whose class is proved within the radius: "
            "no attack can find anything there.",
            radii.draw(each, norm, "certified accuracy"),
        )
        for norm, each in sorted(curves.items())
    ]
    remarks = (
        []
        if pictures
        else ["No run was certified: python -m trainers.certify does it."]
    )
    return Section(
        "certified",
        "Certified accuracy",
        "What is proved lies below what attacks leave, and between the two is "
        "what nobody knows.",
        pictures,
        remarks,
    )


def _certificate(
    record: dict[str, Any], folder: pathlib.Path
) -> tuple[list[float], list[float]]:
    """Returns radii and certified accuracies, of a table where that is."""
    points = [
        (each["radius"], each["certified_accuracy"])
        for each in record.get("certified_accuracy") or ()
    ]
    table = folder / "certify.tsv"
    if record.get("threat_model") == "l2" and table.is_file():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(
                csv.DictReader(
                    (line for line in file if not line.startswith("# ")),
                    delimiter="\t",
                )
            )
        right = sorted(
            float(row["radius"])
            for row in rows
            if row.get("radius") and row["prediction"] == row["label"]
        )
        if right:
            shares = [(len(right) - i) / len(rows) for i in range(len(right))]
            return [0.0, *right], [shares[0], *shares]
    natural = record.get("natural_accuracy")
    if natural is not None and points and points[0][0] > 0:
        points.insert(0, (0.0, natural))
    return [x for x, _ in points], [y for _, y in points]


def _layers(setups: Sequence[Setup]) -> Section:
    pictures, remarks = [], []
    for number, setup in enumerate(setups):
        for target in _extremes(setup.targets):
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
            colors = [_color(setup, group) for group in fitting]
            pictures.append(
                Picture(
                    f"layers_{number}_{_plain(target)}",
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
    return Section(
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


def _weights(setups: Sequence[Setup], say: Callable[[str], None]) -> Section:
    pictures, remarks, words = [], [], []
    for number, setup in enumerate(setups):
        for target in _extremes(setup.targets):
            panels = {}
            for group in setup.at(target)[:_MOST_NETWORKS]:
                network = group.networks[0]
                say(f"  weights of {network.run.name}")
                try:
                    found = kept.read(network)
                except InputError as error:
                    remarks.append(f"{network.run.name}: {error}.")
                    continue
                panels[f"{group.variant}, density {style.density(target)}"] = (
                    found.magnitudes,
                    found.mask,
                    _color(setup, group),
                )
                words.append(
                    f"{100 * found.pruned_of_largest:.0f} % "
                    f"({group.variant}, density {style.density(target)})"
                )
            if panels:
                pictures.append(
                    Picture(
                        f"weights_{number}_{_plain(target)}",
                        "Kept and pruned weights, density "
                        f"{style.density(target)}: {setup.name}",
                        "The pretrained weights of all pruned layers by "
                        "magnitude, coloured by the final mask; the number "
                        "of weights is logarithmic.",
                        weights.draw(panels),
                    )
                )
    if not pictures and not remarks:
        remarks.append("No run has pruned a network yet.")
    return Section(
        "weights",
        "Kept and pruned weights",
        "Magnitude pruning draws a line in each layer. Scores that were "
        "trained for robustness keep small weights and prune large ones. Of "
        "each layer's largest weights, as many as it keeps, is pruned: "
        f"{', '.join(words)}.",
        pictures,
        remarks,
    )


def _courses(runs: Sequence[Run]) -> Section:
    pictures, remarks = [], []
    for run in runs:
        histories = run.histories
        if not histories:
            continue
        if run.origin is not None and "pretrain" not in histories:
            # What they have in common; the phases have an order.
            before = run.origin.histories
            histories = {
                phase: {**before, **histories}[phase]
                for phase in PHASES
                if phase in histories
                or (phase == "pretrain" and phase in before)
            }
        if not course.has_accuracies(histories):
            remarks.append(f"{run.name}: training recorded no accuracies.")
        elif len(pictures) == _MOST_COURSES:
            remarks.append(
                f"The curves of the first {_MOST_COURSES} runs are shown; "
                "name fewer in --runs for the others."
            )
            break
        else:
            pictures.append(
                Picture(
                    f"training_{len(pictures)}",
                    f"Training: {run.name}",
                    "Accuracies on training images and, where some were held "
                    "out, on those. Robust accuracy is that of the attack of "
                    f"training. State: {run.state}.",
                    course.draw(histories),
                )
            )
    if not pictures and not remarks:
        remarks.append("No run has a history of its epochs.")
    return Section(
        "training",
        "Training curves",
        "Where robust accuracy still rises in training and falls on held-out "
        "images, the network overfits.",
        pictures,
        remarks,
    )


def _examples(
    setups: Sequence[Setup],
    count: int,
    data_dir: str | None,
    say: Callable[[str], None],
) -> Section:
    pictures, remarks = [], []
    chosen = []
    for setup in setups:
        groups = setup.at(setup.targets[0]) if setup.groups else []
        groups = groups or ([setup.dense] if setup.dense else [])
        chosen += [(setup, group) for group in groups]
    for _, group in chosen[:_MOST_NETWORKS]:
        network = group.networks[0]
        say(f"  images for {network.run.name}")
        try:
            found, how = attacked.examples(network, count, data_dir)
        except InputError as error:
            remarks.append(f"{network.run.name}: no images, {error}.")
            continue
        times = attacked.magnification(found)
        pictures.append(
            Picture(
                f"images_{len(pictures)}",
                f"Images: {group.variant}, {network.run.name}",
                f"Left to right: a test image, what {how}, makes of it, and "
                f"the difference magnified {times:.3g} times, grey for none. "
                "Below: predicted class and confidence, ✓ where it is right.",
                examples.draw(found, times),
            )
        )
    if not pictures and not remarks:
        remarks.append("No run has a finished network yet.")
    return Section(
        "images",
        "Images under attack",
        "A person sees the same in both; where the network does not, it is "
        "not robust there.",
        pictures,
        remarks,
    )


def _extremes(targets: list[float]) -> list[float]:
    """Returns few densities: the densest, the sparsest, one in between."""
    if len(targets) <= _MOST_DENSITIES:
        return targets
    return [targets[0], targets[len(targets) // 2], targets[-1]]


def _color(setup: Setup, group: Group) -> int:
    if group.variant == DENSE:
        return -1
    return setup.variants.index(group.variant)


def _line(setup: Setup, group: Group) -> int:
    return setup.targets.index(group.target) if group.variant != DENSE else 0


def _label(group: Group, network: Network) -> str:
    words = [group.variant]
    if group.variant != DENSE:
        words.append(style.density(group.target))
    if len(group.networks) > 1:
        words.append(f"seed {network.seed}")
    return ", ".join(words)


def _file_name(name: str) -> str:
    """Returns a name without what file names lack."""
    return "".join(each if each.isalnum() else "_" for each in name)


def _plain(target: float) -> str:
    return _file_name(f"{100 * target:.3g}")
