"""The head of a model card, which a hub of models reads (YAML)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trainers.model_card.entries import result as result_of
from trainers.model_card.entries import section

_METRICS = {
    "robust_accuracy": "Robust accuracy ({})",
    "certified_accuracy": "Certified accuracy ({})",
}


def write(metrics: Mapping[str, Any]) -> str:
    """Returns the head of the card, between lines of three dashes.

    Values are JSON, which YAML contains.

    Args:
        metrics: What `metrics.json` holds.
    """
    run, data = section(metrics, "run"), section(metrics, "dataset")
    dataset = data.get("name") or run.get("dataset")
    entries: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["adversarial-robustness", "pruning", "hydra_tf"],
    }
    if dataset:
        entries["datasets"] = [str(dataset)]
    found = _results(result_of(metrics))
    if found and dataset:
        entries["model-index"] = [
            {
                "name": str(run.get("name") or run.get("model") or "network"),
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {
                            "name": str(dataset),
                            "type": str(dataset),
                            "split": "test",
                        },
                        "metrics": found,
                    }
                ],
            }
        ]
    lines = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in entries.items()
    ]
    return "\n".join(["---", *lines, "---"])


def _results(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the accuracies of a phase as a hub lists them."""
    named = {}
    if result.get("natural_accuracy") is not None:
        named["Natural accuracy"] = result["natural_accuracy"]
    for key, title in _METRICS.items():
        for name, value in section(result, key).items():
            named[title.format(name)] = value
    return [
        {"type": "accuracy", "name": name, "value": round(value, 4)}
        for name, value in named.items()
    ]
