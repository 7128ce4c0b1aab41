"""The start of the prune phase: scores and densities of each method."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import keras
import numpy as np

from hydra_tf import pruning
from hydra_tf.errors import InputError
from hydra_tf.pruning import allocation
from trainers import networks

if TYPE_CHECKING:
    from flags.pruning_flags import PruningSettings


def start_pruning(
    network: keras.Model,
    settings: PruningSettings,
    batch: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> keras.Model:
    """Returns the masked twin of a network as the prune phase begins.

    Args:
        network: The pretrained network. Masks that it may have are made
            permanent first.
        settings: Method, density and so on.
        batch: Images and labels, for scores that depend on the loss.
        seed: Seed of random scores.
    """
    if networks.is_masked(network):
        network = pruning.strip_masks(network)
    masked = pruning.to_masked(network, exclude=settings.exclude)
    pruning.init_scores(masked, settings.scores_init, seed=seed, data=batch)
    # In several steps the density falls while the weights train.
    if not settings.multistep:
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
    if settings.allocation.endswith(".json"):
        return _read_densities(settings.allocation, network)
    return allocation.allocate(network, settings.density, settings.allocation)


def multistep_schedule(
    settings: PruningSettings, epochs: int
) -> Callable[[int], Any]:
    """Returns when `--multistep` prunes, and to what sparsity.

    Args:
        settings: Final density, number of rounds and shape of the schedule.
        epochs: Epochs of the prune phase, over which the rounds are spread.
            The first of them begins with a round.
    """
    import tensorflow_model_optimization as tfmot

    sparsity = 1 - settings.density
    rounds = min(settings.pruning_rounds, epochs)
    frequency = epochs // rounds
    if settings.pruning_schedule == "constant":
        return tfmot.sparsity.keras.ConstantSparsity(
            sparsity, begin_step=0, frequency=frequency
        )
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=0,
        end_step=rounds * frequency,
        frequency=frequency,
    )
    # Its first step is that of the initial sparsity, which needs no round.
    return lambda epoch: schedule(epoch + frequency)


def _read_densities(name: str, network: keras.Model) -> dict[str, float]:
    """Returns the content of a file given as `--allocation`."""
    try:
        content = json.loads(pathlib.Path(name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"--allocation={name} does not exist") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"--allocation={name} cannot be read as JSON: {error}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"--allocation={name} must hold an object: densities by layer name"
        )
    try:
        allocation.check_complete(network, content)
    except InputError as error:
        raise InputError(f"--allocation={name}: {error}") from error
    return content
