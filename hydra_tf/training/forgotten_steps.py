"""Steps between two calls of `fit` that were forgotten, as far as it shows."""

from __future__ import annotations

import dataclasses
import warnings
import weakref

import keras
import numpy as np

from hydra_tf.layers import MaskedLayer
from hydra_tf.layers.traversal import find_masked
from hydra_tf.pruning.channels.groups import channel_groups
from hydra_tf.pruning.scores import magnitude
from hydra_tf.pruning.scores import scaled
from hydra_tf.resumable import digest


@dataclasses.dataclass(frozen=True)
class _Fit:
    """What a network was when `fit` trained it.

    Attributes:
        phase: Its phase.
        density: The mean of its layers' densities.
        outdated: Digest of scores that follow from weights that have trained
            since, `None` without any.
    """

    phase: str | None
    density: float
    outdated: str | None


_last_fits: weakref.WeakKeyDictionary[keras.Model, _Fit] = (
    weakref.WeakKeyDictionary()
)


def warn_of_forgotten_steps(network: keras.Model) -> None:
    """Warns if a network is not what its phase begins with.

    For the beginning of `fit`. It warns of

    * masked layers without a phase;
    * densities that were set after pretraining, where the phase was not;
    * scores that follow from the weights before they were pretrained, in a
      phase that chooses by them. Scores that were drawn at random, loaded or
      trained are as good as new ones.

    Args:
        network: The network, masked or not.
    """
    masked = find_masked(network)
    if not masked:
        return
    phase = masked[0].phase
    density = float(np.mean([float(layer.live_density) for layer in masked]))
    last = _last_fits.get(network)
    outdated = None if last is None else last.outdated
    if outdated is not None and outdated != _digest(masked):
        outdated = None
    if phase is None:
        _warn(
            "the masked layers of `network` have no phase, so that weights and "
            "scores train together: call hydra_tf.set_phase(network, ...) "
            "before compile()"
        )
    elif phase == "pretrain":
        if last is not None and last.phase == phase and density < last.density:
            _warn(
                "the densities of `network` were lowered, but it trains on "
                "without masks, in the pretrain phase: call "
                "hydra_tf.set_phase(network, 'prune') before compile()"
            )
        if outdated is None and _follow_from_weights(network):
            outdated = _digest(masked)
    elif (
        outdated is not None
        and (phase == "prune" or density < 1)
        and not _follow_from_weights(network)
    ):
        _warn(
            "the scores of `network` are those of its weights before they were "
            "pretrained: call hydra_tf.init_scores(network) after the pretrain "
            "phase"
        )
    _last_fits[network] = _Fit(phase, density, outdated)


def _warn(message: str) -> None:
    # At the line that calls `fit`.
    warnings.warn(message, UserWarning, stacklevel=4)


def _digest(masked: list[MaskedLayer]) -> str:
    return digest(np.array([digest(np.asarray(m.scores)) for m in masked]))


def _follow_from_weights(network: keras.Model) -> bool:
    """Whether scores are what the weights, as they are, start them from."""
    groups = channel_groups(network)
    scores = [np.asarray(group.leader.scores) for group in groups]
    return any(
        all(
            np.allclose(np.abs(score), np.abs(value), rtol=1e-4)
            for score, value in zip(scores, rule(network, groups), strict=True)
        )
        for rule in (scaled, magnitude)
    )
