"""The start of the prune phase: scores and densities of each method."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING

import keras
import numpy as np

from hydra_tf import pruning
from hydra_tf.errors import InputError

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
    if pruning.masked_layers(network):
        network = pruning.strip_masks(network)
    masked = pruning.to_masked(network)
    pruning.init_scores(masked, settings.scores_init, seed=seed, data=batch)
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
    allocate = {
        "uniform": pruning.uniform,
        "global": pruning.global_threshold,
        "erk": pruning.erk,
    }[settings.allocation]
    return allocate(network, settings.density)


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
    layers = set(pruning.masked_layers(network))
    if not isinstance(content, dict) or set(content) != layers:
        given = set(content) if isinstance(content, dict) else set()
        missing, extra = sorted(layers - given), sorted(given - layers)
        raise InputError(
            f"--allocation={name} must give a density for each prunable layer "
            f"by its name; missing: {', '.join(missing) or 'none'}; unknown: "
            f"{', '.join(extra) or 'none'}"
        )
    for layer, density in content.items():
        number = isinstance(density, int | float) and density is not True
        if not number or not 0 < density <= 1:
            raise InputError(
                f"--allocation={name}: the density of {layer} must be in "
                f"(0, 1], not {density!r}"
            )
    return content
