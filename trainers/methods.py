"""The start of the prune phase: scores and densities of each method."""

from __future__ import annotations

import json
import pathlib
import re
from typing import TYPE_CHECKING

import keras
import numpy as np

from flags import allocation_flags
from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.pruning import allocation
from hydra_tf.pruning import harp
from trainers.run import networks

if TYPE_CHECKING:
    from flags.pruning_flags import PruningSettings


def check(network: keras.Model, settings: PruningSettings) -> None:
    """Checks that a network can be pruned as settings say, before training.

    Args:
        network: The network, of whatever weights.
        settings: Method, density and so on.

    Raises:
        InputError: If it cannot, in the words of the command line.
    """
    try:
        masked = masked_twin(network, settings)
        if settings.learns_densities:
            learn_densities(masked, settings)
            compression(masked, settings)
            harp.check_target(
                masked, settings.density, settings.compression_resource
            )
        else:
            # Where the weights decide, those to come may decide otherwise, but
            # what is possible is the same.
            densities(masked, settings)
    except InputError as error:
        raise InputError(_with_flags(str(error), settings)) from error


def masked_twin(network: keras.Model, settings: PruningSettings) -> keras.Model:
    """Returns the masked twin of a network, at density 1.

    Args:
        network: The network. Masks that it may have are made permanent first.
        settings: Granularity and excluded layers.
    """
    if networks.is_masked(network):
        network = pruning.strip_masks(network)
    return pruning.to_masked(
        network, exclude=settings.exclude, granularity=settings.granularity
    )


def start_pruning(
    network: keras.Model,
    settings: PruningSettings,
    batch: tuple[np.ndarray, np.ndarray],
    seed: int,
    epochs: int,
) -> keras.Model:
    """Returns the masked twin of a network as the prune phase begins.

    Args:
        network: The pretrained network. Masks that it may have are made
            permanent first.
        settings: Method, density and so on.
        batch: Images and labels, for scores that depend on the loss.
        seed: Seed of random scores.
        epochs: Epochs of the phase.
    """
    masked = masked_twin(network, settings)
    pruning.init_scores(masked, settings.scores_init, seed=seed, data=batch)
    if settings.multistep and epochs:
        # The density falls while the weights train.
        return masked
    if settings.learns_densities:
        learn_densities(masked, settings)
    else:
        pruning.set_density(masked, densities(masked, settings))
    return masked


def densities(
    network: keras.Model, settings: PruningSettings
) -> dict[str, float]:
    """Returns the density of each layer.

    Args:
        network: A masked network with its scores.
        settings: Allocation and global density.

    Raises:
        InputError: If a file of densities does not fit the network.
    """
    if allocation_flags.is_file(settings.allocation):
        return _read_densities("allocation", settings.allocation, network)
    return allocation.allocate(network, settings.density, settings.allocation)


def learn_densities(network: keras.Model, settings: PruningSettings) -> None:
    """Makes the densities of a masked network trainable.

    Args:
        network: The network.
        settings: Target, where the densities start, and what trains.

    Raises:
        InputError: If a file of densities does not fit the network.
    """
    rates = settings.rates or "uniform"
    number = allocation_flags.as_number(rates)
    initial: str | dict[str, float] = "uniform" if number else rates
    if number is None and settings.learn == "scores":
        # What does not train has to be at the target.
        number = settings.density
    if allocation_flags.is_file(rates):
        initial, number = _read_densities("rates", rates, network), None
    try:
        pruning.learn_densities(
            network,
            settings.density,
            initial=initial,
            initial_density=number,
            learns=settings.learn,
        )
    except InputError as error:
        raise InputError(f"--rates={rates}: {error}") from error


def compression(
    network: keras.Model, settings: PruningSettings
) -> pruning.CompressionLoss:
    """Returns the loss that learned densities are drawn to the target by."""
    return pruning.CompressionLoss(
        network, settings.density, settings.compression_resource
    )


def _with_flags(message: str, settings: PruningSettings) -> str:
    """Returns a message of the library with flags for its arguments."""

    def excluded(match: re.Match[str]) -> str:
        names = (*settings.exclude, match[1])
        return f"--exclude={','.join(names)}"

    message = re.sub(r"exclude=\['([^']*)'\]", excluded, message)
    message = message.replace("`exclude`", "--exclude")
    # A flag with its value is named before already.
    message = re.sub(
        r"^(--\w+=.*?): `(?:allocation|density)` ", r"\1 ", message
    )
    message = re.sub(r"^granularity (?=\d)", "--granularity=", message)
    return message.replace("`density`", f"--density={settings.density:g}")


def _read_densities(
    flag: str, name: str, network: keras.Model
) -> dict[str, float]:
    """Returns the content of a file of densities, given by a flag."""
    try:
        content = json.loads(pathlib.Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"--{flag}={name} does not exist") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"--{flag}={name} cannot be read as JSON: {error}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"--{flag}={name} must hold an object: densities by layer name"
        )
    try:
        allocation.check_complete(network, content)
    except InputError as error:
        raise InputError(f"--{flag}={name}: {error}") from error
    return content
