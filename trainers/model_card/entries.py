"""Reading `metrics.json`, of which any part may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def section(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns a nested mapping, empty if it is missing."""
    return as_mapping(mapping.get(key))


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Returns a mapping, empty in place of what is none."""
    return value if isinstance(value, Mapping) else {}


def result(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the figures of the phase that the folder is about."""
    phases = section(metrics, "phases")
    for name in ("finetune", "prune", "pretrain"):
        if phases.get(name):
            return phases[name]
    return next((phase for phase in phases.values() if phase), {})


def ends_with_prune(metrics: Mapping[str, Any]) -> bool:
    """Whether a pipeline's result is what its prune phase made."""
    if section(metrics, "run").get("binary") != "pipeline":
        return False
    return result(metrics) is section(metrics, "phases").get("prune")


def without_none(value: Any) -> Any:
    """Returns nested mappings and sequences without the entries `None`."""
    if isinstance(value, Mapping):
        return {
            key: without_none(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list | tuple):
        return [without_none(item) for item in value if item is not None]
    return value
