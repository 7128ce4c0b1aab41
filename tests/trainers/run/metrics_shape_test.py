"""What `metrics.json` must be like: nothing that the model card trips over."""

import copy

from hydra_tf import json_shape
from trainers.model_card import card
from trainers.run.metrics_shape import METRICS

ATTACK = {"epsilon": 0.1, "threat_model": "linf", "step_size": 0.02}
COSTS = {"weights": 10, "flops": 100, "seconds": 0.5}
LAYER = {
    "name": "first",
    "type": "Dense",
    "weights": 10,
    "kept": 5,
    "density": 0.5,
    "flops": 20,
    "effective_flops": 10,
    "units": 4,
    "units_kept": 2,
}
WHOLE = {
    "run": {
        "name": "mine",
        "command": "python -m trainers.prune",
        "binary": "prune",
        "phase": "prune",
        "model": "digits_model",
        "source": "runs/dense",
        "objective": "madry",
        "epsilon": 0.1,
        "step_size": 0.02,
        "method": "hydra",
        "density": 0.5,
        "seed": 3,
    },
    "phases": {
        "prune": {
            "natural_accuracy": 0.9,
            "robust_accuracy": {"pgd": 0.5},
            "certified_accuracy": {"crown_ibp": 0.25},
            "intervals": {"natural_accuracy": [0.8, 0.95], "pgd": [0.4, 0.6]},
            "balanced_accuracy": {"natural_accuracy": 0.85},
            "warnings": {"pgd": ["gradients are zero"]},
            "attacks": {"pgd": ATTACK},
            "certification": {"crown_ibp": {"epsilon": 0.1}},
            "num_examples": 40,
            "epochs": 1,
            "seconds": 2.5,
            "checkpoint": "01585a358fe91b17",
            "history": [{"epoch": 1, "loss": 0.5, "seconds": 2.5}],
        }
    },
    "attacks": {"pgd": ATTACK},
    "artifacts": {
        "unpruned": {"bytes": 10, "compressed_bytes": 9},
        "saved_model": {"path": "m", "bytes": 10, "compressed_bytes": 5},
        "densities": {"path": "densities.png", "bytes": 10},
        "checkpoints": {"prune": {"path": "prune.keras", "bytes": 10}},
        "exported_checkpoint": "01585a358fe91b17",
    },
    "sparsity": {
        "granularity": "weight",
        "density": 0.5,
        "weights": 10,
        "kept": 5,
        "flops": 20,
        "effective_flops": 10,
        "layers": [LAYER],
        "learned": {"target": 0.5, "resource": "flops"},
    },
    "shrink": {"before": COSTS, "after": COSTS, "largest_difference": 1e-7},
    "dataset": {
        "name": "digits",
        "image_shape": [8, 8, 1],
        "num_classes": 10,
        "fraction": 0.1,
        "num_train": 144,
        "num_test": 360,
        "augmented": False,
        "cutmix": 0.5,
    },
    "environment": {"python": "3.11.7", "devices": ["/device:CPU:0"]},
}


def places(value, above=()):
    """Yields where a value has parts, as tuples of keys and indices."""
    parts = {}
    if isinstance(value, dict):
        parts = value
    if isinstance(value, list):
        parts = dict(enumerate(value))
    for key, part in parts.items():
        yield (*above, key)
        yield from places(part, (*above, key))


def changed(place, value):
    """Returns the metrics with another value in a place."""
    metrics = copy.deepcopy(WHOLE)
    part = metrics
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return metrics


def test_metrics_as_runs_write_them_have_the_shape():
    assert json_shape.mismatch(WHOLE, METRICS) is None
    assert json_shape.mismatch({}, METRICS) is None
    assert "## Results" in card.model_card(WHOLE)


def test_other_values_are_refused_or_do_no_harm():
    refused = 0
    for place in places(WHOLE):
        for value in ("a", 7, True, None, [], [1], {}, {"a": 1}):
            metrics = changed(place, value)
            if json_shape.mismatch(metrics, METRICS) is None:
                card.model_card(metrics, "run")
            else:
                refused += 1
    assert refused > 300
