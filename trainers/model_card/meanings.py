"""What the names in `metrics.json` mean, in words for model cards."""

from __future__ import annotations

from collections.abc import Iterable

from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.bounds import BOUNDS
from hydra_tf.registry.evaluation import SMOOTHING
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.table import Entry

_OF_SETTINGS: dict[str, Iterable[Entry]] = {
    "objective": OBJECTIVES,
    "pretrain_objective": OBJECTIVES,
    "method": METHODS,
}
THREAT_MODELS = {"linf": "L-infinity", "l2": "L2"}
_PHASES = {
    "pretrain": "pretrain (not pruned)",
    "prune": "prune (before fine-tuning)",
    "finetune": "finetune (the result)",
}


def of_phase(name: str, *, is_result: bool) -> str:
    """Returns what the network after a phase is.

    Args:
        name: The phase.
        is_result: Whether the prune phase makes the result.
    """
    if is_result and name == "prune":
        return "prune (the result)"
    return _PHASES.get(name, name)


def of_setting(name: str, value: str) -> str:
    """Returns what the value of a setting is, empty if that is not known."""
    return _help(_OF_SETTINGS.get(name, ()), value)


def of_attack(name: str) -> str:
    """Returns what an attack is, empty of a user's own."""
    return _help(ATTACKS, name)


def of_proof(name: str) -> str:
    """Returns what a method of proving is; smoothing's name has its radius."""
    if name.partition("@")[0] == SMOOTHING:
        return "randomised smoothing of the network"
    # Without the remark on how fast it is.
    return _help(BOUNDS, name).partition(":")[0]


def _help(table: Iterable[Entry], name: str) -> str:
    return next((entry.help for entry in table if entry.name == name), "")
