"""Which weights a run has kept: their magnitudes before pruning, the mask."""

from __future__ import annotations

import dataclasses

import numpy as np

from hydra_tf.errors import InputError
from hydra_tf.registry.methods import METHODS
from trainers.reporting.networks import Network


@dataclasses.dataclass(frozen=True, eq=False)
class KeptWeights:
    """The weights of all masked layers of a network.

    Attributes:
        magnitudes: Of each pretrained weight, relative to the root mean square
            of its layer, so that layers can be put together.
        mask: Bool array, which of them were kept.
        pruned_of_largest: Which share is pruned of the largest weights of each
            layer, as many as it keeps.
    """

    magnitudes: np.ndarray
    mask: np.ndarray
    pruned_of_largest: float


def read(network: Network) -> KeptWeights:
    """Returns what a network has kept of its pretrained weights.

    Pruning trains scores, or nothing, and the file of its phase has the
    pretrained weights beside the final mask. Where weights trained as well, in
    rounds or in a course, the pretrained ones are another file's.

    Raises:
        InputError: If a file that this takes is not there, or is damaged.
    """
    pruned = _load(network, "prune")
    before = pruned
    if _trains_weights(network):
        before = _load(network, "pretrain")
    magnitudes, masks = [], []
    pruned_largest = 0
    for name, (kernel, mask) in pruned.items():
        if mask is None or name not in before:
            continue
        sizes = np.abs(before[name][0])
        scale = float(np.sqrt(np.mean(np.square(sizes)))) or 1.0
        if sizes.shape == kernel.shape:
            magnitudes.append(sizes.ravel() / scale)
            masks.append(mask.ravel() != 0)
            largest = np.argsort(-magnitudes[-1], kind="stable")
            kept = int(np.sum(masks[-1]))
            pruned_largest += kept - np.count_nonzero(masks[-1][largest[:kept]])
    if not masks:
        raise InputError("its layers have no masks")
    mask = np.concatenate(masks)
    return KeptWeights(
        np.concatenate(magnitudes),
        mask,
        pruned_largest / max(int(np.sum(mask)), 1),
    )


def _trains_weights(network: Network) -> bool:
    """Whether the prune phase moved weights too."""
    run = network.run
    method = str(run.setting("method"))
    return (
        str(run.setting("multistep")).lower() == "true"
        or (method in METHODS and METHODS.entry(method).is_course)
        # Recorded of methods that read it, such as courses of one's own.
        or run.setting("update_share") is not None
    )


def _load(
    network: Network, phase: str
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Returns kernel and mask of each layer of a phase's network."""
    from hydra_tf import pruning
    from hydra_tf.training.checkpoints import load_network

    path = network.run.checkpoint(phase)
    if path is None:
        raise InputError(f"checkpoints/{phase}.keras is not there")
    model = load_network(path, str(path), "write it again")
    masked = pruning.masked_layers(model)
    if masked:
        return {
            name: (np.array(layer.kernel), np.array(layer.mask))
            for name, layer in masked.items()
        }
    return {
        layer.name: (np.array(layer.kernel), None)
        for layer in model.layers
        if getattr(layer, "kernel", None) is not None
    }
