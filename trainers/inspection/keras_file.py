"""A `.keras` file."""

from __future__ import annotations

import json
import pathlib
import zipfile
from typing import Any

from hydra_tf import pruning
from hydra_tf import text
from hydra_tf.attacks.units import takes_bytes
from trainers.inspection.description import Description
from trainers.inspection.description import kernels_table
from trainers.inspection.description import sizes
from trainers.run import source


def describe(path: pathlib.Path) -> Description:
    """Returns what is known of the model in a file.

    Raises:
        InputError: If it cannot be loaded.
    """
    model = source.load(path)
    masked = pruning.masked_layers(model)
    plain = pruning.strip_masks(model) if masked else model
    known = _metadata(path)
    description = Description(
        {
            "what": "Keras model, masked" if masked else "Keras model",
            "path": str(path),
            "size": sizes(path),
            "name": model.name,
            "phase": _phase(masked),
            **(_ends(model) if model.built else {"inputs": "not built"}),
            "weights": text.number(plain.count_params()) if plain.built else "",
            "saved": known.get("date_saved", "").replace("@", " "),
            "versions": f"keras {known.get('keras_version', '?')}",
        }
    )
    if masked:
        description.parts.append(str(pruning.sparsity_report(model)))
    else:
        description.parts.append(
            kernels_table(
                (weight.path, weight.numpy()) for weight in model.weights
            )
        )
    return description


def _ends(model: Any) -> dict[str, str]:
    """Returns what goes in and what comes out."""
    return {
        "inputs": _text_of_shapes(model.input_shape),
        "outputs": _text_of_shapes(model.output_shape),
        "input range": _input_range(model),
    }


def _input_range(model: Any) -> str:
    """Returns the pixels that a model takes."""
    if takes_bytes(model):
        return "0..255, which it scales down itself"
    return "[0, 1], if hydra_tf trained it"


def _text_of_shapes(shapes: Any) -> str:
    """Returns the shape of a tensor, or of several."""
    if isinstance(shapes, dict):
        return ", ".join(f"{name} {each}" for name, each in shapes.items())
    if isinstance(shapes, list):
        return ", ".join(map(str, shapes))
    return str(shapes)


def _phase(masked: Any) -> str:
    """Returns the phase that the masks are in."""
    phases = {layer.phase or "none" for layer in masked.values()}
    return ", ".join(sorted(phases))


def _metadata(path: pathlib.Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("metadata.json"))
