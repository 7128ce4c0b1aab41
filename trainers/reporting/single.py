"""The figures of single networks: weights, training, images."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

from hydra_tf.errors import InputError
from hydra_tf.phases import PHASES
from trainers.plots import course
from trainers.plots import examples
from trainers.plots import style
from trainers.plots import weights
from trainers.reporting import attacked
from trainers.reporting import kept
from trainers.reporting import section
from trainers.reporting.networks import Setup
from trainers.reporting.runs import Run

# Networks whose weights are read, and which are attacked.
_MOST_NETWORKS = 4
_MOST_COURSES = 24


def weights_section(
    setups: Sequence[Setup], say: Callable[[str], None]
) -> section.Section:
    """Returns the section of which weights were kept."""
    pictures: list[section.Picture] = []
    remarks, words = [], []
    for number, setup in enumerate(setups):
        for target in section.extremes(setup.targets):
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
                    section.color(setup, group),
                )
                words.append(
                    f"{100 * found.pruned_of_largest:.0f} % "
                    f"({group.variant}, density {style.density(target)})"
                )
            if panels:
                pictures.append(
                    section.Picture(
                        f"weights_{number}_{section.file_name_of(target)}",
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
    return section.Section(
        "weights",
        "Kept and pruned weights",
        "Magnitude pruning draws a line in each layer. Scores that were "
        "trained for robustness keep small weights and prune large ones. "
        "Pruned of each layer's largest weights, counting as many as it "
        f"keeps: {', '.join(words)}.",
        pictures,
        remarks,
    )


def training_section(runs: Sequence[Run]) -> section.Section:
    """Returns the section of the course of training."""
    pictures: list[section.Picture] = []
    remarks = []
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
                section.Picture(
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
    return section.Section(
        "training",
        "Training curves",
        "Where robust accuracy still rises in training and falls on held-out "
        "images, the network overfits.",
        pictures,
        remarks,
    )


def images_section(
    setups: Sequence[Setup],
    count: int,
    data_dir: str | None,
    say: Callable[[str], None],
) -> section.Section:
    """Returns the section of images under attack."""
    pictures: list[section.Picture] = []
    remarks = []
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
            section.Picture(
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
    return section.Section(
        "images",
        "Images under attack",
        "A person sees the same in both; where the network does not, it is "
        "not robust there.",
        pictures,
        remarks,
    )
