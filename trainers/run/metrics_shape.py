"""The shape that `metrics.json` must have, for whoever reads it.

It names what a resumed run, the table at its end and the model card compute
with. Sections and entries that it does not name may be anything, and those
that it names may be missing or null.
"""

from __future__ import annotations

_NUMBER = (float, None)
_WHOLE = (int, None)
_TEXT = (str, None)
_FIGURES = {str: _NUMBER}
_FILE = ({"path?": _TEXT, "bytes?": _WHOLE}, None)
_EXPORT = {"path?": _TEXT, "bytes": int, "compressed_bytes": int}

_ATTACKS = (
    {
        str: {
            "epsilon": float,
            "threat_model": str,
            "step_size?": _NUMBER,
        }
    },
    None,
)

_PHASE = {
    "natural_accuracy?": float,
    "robust_accuracy?": _FIGURES,
    "certified_accuracy?": _FIGURES,
    "intervals?": {str: [_NUMBER]},
    "balanced_accuracy?": _FIGURES,
    "warnings?": {str: [str]},
    "curves?": (
        {str: {"radii?": [float], "robust_accuracy?": [float]}},
        None,
    ),
    "attacks?": _ATTACKS,
    "certification?": {str: dict},
    "num_examples?": int,
    "epochs?": int,
    "seconds?": float,
    "checkpoint?": str,
    "history?": [_FIGURES],
}

_COUNTS = {
    "weights?": _NUMBER,
    "kept?": _NUMBER,
    "flops?": _NUMBER,
    "effective_flops?": _NUMBER,
}

_LAYER = {
    **_COUNTS,
    "type?": _TEXT,
    "density?": _NUMBER,
    "units?": _WHOLE,
    "units_kept?": _WHOLE,
}

_COSTS = {"weights?": _NUMBER, "flops?": _NUMBER, "seconds?": _NUMBER}

METRICS = {
    "phases?": {str: _PHASE},
    "networks?": {str: {"source?": _TEXT, **_PHASE}},
    "attacks?": _ATTACKS,
    "certification?": ({str: dict}, None),
    "artifacts?": {
        "unpruned?": _EXPORT,
        "saved_model?": _EXPORT,
        "serving?": _EXPORT,
        "shrunk?": _FILE,
        "densities?": _FILE,
        "learning_curves?": _FILE,
        "checkpoints?": ({str: _FILE}, None),
        "exported_checkpoint?": _TEXT,
    },
    "formats?": {
        str: {
            "path": _TEXT,
            "bytes": _WHOLE,
            "compressed_bytes": _WHOLE,
            "natural_accuracy": _NUMBER,
            "transferred_accuracy": _NUMBER,
            "square_accuracy": _NUMBER,
            "agreement": _NUMBER,
            "latencies": [
                {"batch_size": _WHOLE, "median": _NUMBER, "p95": _NUMBER}
            ],
        }
    },
    "run?": (
        {
            "binary?": _TEXT,
            "density?": _NUMBER,
            "epsilon?": _NUMBER,
            "step_size?": _NUMBER,
        },
        None,
    ),
    "sparsity?": {
        **_COUNTS,
        "density": float,
        "layers?": [_LAYER],
        "learned?": ({"target?": _NUMBER}, None),
    },
    "shrink?": (
        {
            "before?": _COSTS,
            "after?": _COSTS,
            "largest_difference?": _NUMBER,
        },
        None,
    ),
    "dataset?": (
        {
            "image_shape?": [_WHOLE],
            "num_classes?": _WHOLE,
            "fraction?": _NUMBER,
            "num_train?": _WHOLE,
            "num_validation?": _WHOLE,
            "num_test?": _WHOLE,
            "cutmix?": _NUMBER,
            "num_extra?": _WHOLE,
            "extra_fraction?": _NUMBER,
        },
        None,
    ),
    "certify?": {
        "source?": _TEXT,
        "natural_accuracy?": _NUMBER,
        "certified_accuracy?": [{"radius": float, "certified_accuracy": float}],
    },
    "sanity?": {
        str: {"checks?": [{"name": str, "passed": bool, "finding": str}]}
    },
    # Such as `environment`.
    str: (dict, None),
}
