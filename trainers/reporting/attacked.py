"""Test images that a run's network is shown, and what PGD makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from absl import flags

from flags import image_flags
from hydra_tf import text
from hydra_tf.errors import InputError
from trainers.plots.examples import Example
from trainers.reporting.networks import Network
from trainers.reporting.runs import Run

_MOST_STEPS = 50


def examples(
    network: Network, count: int, data_dir: str | None
) -> tuple[list[Example], str]:
    """Returns attacked test images, and in words how they were attacked.

    Args:
        network: The network, whose file must be there.
        count: Number of images.
        data_dir: Where prepared data sets are, `None` for where the run had
            them.

    Raises:
        InputError: If data or network are not there, or don't fit.
    """
    import tensorflow as tf

    from hydra_tf import attacks
    from hydra_tf.attacks.logits import compiled
    from hydra_tf.pruning import strip_masks
    from hydra_tf.training.checkpoints import load_network

    path = network.run.checkpoint(network.phase)
    if path is None:
        raise InputError(f"checkpoints/{network.phase}.keras is not there")
    attack = _attack(network)
    images, labels, names = _images(network.run, count, data_dir)
    # Without masks it is traced in a fraction of the time.
    model = strip_masks(load_network(path, str(path), "write it again"))
    adversarial = compiled(lambda x, y: attacks.pgd(model, x, y, **attack))(
        tf.constant(images), tf.constant(labels)
    )
    before, after = (
        tf.nn.softmax(model(x, training=False)).numpy()
        for x in (images, adversarial)
    )
    found = [
        Example(
            image,
            perturbed,
            names[label],
            names[int(np.argmax(first))],
            names[int(np.argmax(second))],
            (float(np.max(first)), float(np.max(second))),
        )
        for image, perturbed, label, first, second in zip(
            images, adversarial.numpy(), labels, before, after, strict=True
        )
    ]
    words = (
        f"PGD with {attack['num_steps']} steps, "
        f"{text.ball(attack['threat_model'], attack['epsilon'])}"
    )
    return found, words


def magnification(examples_: list[Example]) -> float:
    """Returns by how much perturbations are magnified to be seen.

    The largest change of a value then takes half of the range, from grey to
    black or white.
    """
    largest = max(
        float(np.max(np.abs(each.adversarial - each.image)))
        for each in examples_
    )
    return max(round(0.5 / largest), 1) if largest else 1.0


def _images(
    run: Run, count: int, data_dir: str | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns test images of different classes, and the classes' names."""
    from hydra_tf import data

    arguments = _arguments(run)
    if data_dir is not None:
        arguments["data_dir"] = data_dir
    # A report must not fetch gigabytes.
    pipeline = data.load(
        arguments.pop("dataset"),
        "test",
        batch_size=1,
        download=False,
        **arguments,
    )
    images, labels = pipeline.arrays(min(20 * count, pipeline.num_examples))
    known, first = np.unique(labels, return_index=True)
    order = [*sorted(first), *sorted(set(range(len(labels))) - set(first))]
    chosen = sorted(order[:count])
    names = [str(name) for name in pipeline.class_names]
    names = names or [str(each) for each in range(int(known[-1]) + 1)]
    return images[chosen], labels[chosen], names


def _arguments(run: Run) -> dict[str, Any]:
    """Returns the arguments of `data.load` that a run's flags stand for."""
    own = flags.FlagValues()
    read = image_flags.define_images(own)
    given = {name: run.setting(name) for name in own}
    words = [f"--{key}={value}" for key, value in given.items() if value]
    if not given["dataset"]:
        raise InputError("its data set is not recorded")
    try:
        own(["report", *map(str, words)])
    except flags.Error as error:
        raise InputError(f"flags.txt: {error}") from error
    return read()


def _attack(network: Network) -> dict[str, Any]:
    """Returns the settings of PGD: the run's evaluation's, but affordable."""
    settings = network.figures.settings
    recorded = settings.get("pgd") or next(iter(settings.values()), {})
    epsilon = recorded.get("epsilon") or network.run.number("epsilon")
    if not epsilon:
        raise InputError("no radius is recorded")
    return {
        "epsilon": epsilon,
        "threat_model": recorded.get("threat_model", "linf"),
        "step_size": recorded.get("step_size") or epsilon / 4,
        "num_steps": min(recorded.get("num_steps") or 20, _MOST_STEPS),
        "seed": 0,
    }
