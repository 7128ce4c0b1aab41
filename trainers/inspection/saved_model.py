"""A SavedModel, or TensorFlow Serving's folder of versions."""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow as tf

from hydra_tf.errors import InputError
from trainers.inspection.description import Description
from trainers.inspection.description import kernels_table
from trainers.inspection.description import sizes


def is_one(path: pathlib.Path) -> bool:
    """Whether a folder is a SavedModel."""
    return (path / "saved_model.pb").is_file()


def versions(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the versions in a folder of TensorFlow Serving, oldest first."""
    found = [
        each
        for each in path.iterdir()
        if each.name.isdecimal() and is_one(each)
    ]
    return sorted(found, key=lambda each: int(each.name))


def describe_versions(path: pathlib.Path) -> Description:
    """Returns what is known of the last version in a folder."""
    found = versions(path)
    description = describe(found[-1])
    names = ", ".join(each.name for each in found)
    description.facts = {
        "what": f"TensorFlow Serving's versions {names}; this is the last",
        **{
            key: value
            for key, value in description.facts.items()
            if key != "what"
        },
    }
    return description


def describe(path: pathlib.Path) -> Description:
    """Returns what is known of a SavedModel.

    Raises:
        InputError: If it cannot be loaded.
    """
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise InputError(
            f"--source={path} cannot be loaded as a SavedModel: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
    named = _mapping(getattr(loaded, "weights", None))
    warm_up = path / "assets.extra" / "tf_serving_warmup_requests"
    labels = path / "assets" / "labels.txt"
    description = Description(
        {
            "what": "SavedModel",
            "path": str(path),
            "size": sizes(path),
            "signatures": "; ".join(
                _signature(name, function)
                for name, function in loaded.signatures.items()
            ),
            "input range": "[0, 1], as hydra_tf exports networks"
            if named
            else "",
            "labels": ", ".join(labels.read_text("utf-8").split("\n")[:10])
            if labels.is_file()
            else "",
            "warm-up requests": str(
                sum(1 for _ in tf.data.TFRecordDataset(str(warm_up)))
            )
            if warm_up.is_file()
            else "",
            "versions": f"tensorflow {loaded.tensorflow_version}",
        }
    )
    # Keras' own exporter keeps them in a list.
    others = getattr(loaded, "variables", None) or ()
    table = kernels_table(
        (name, variable.numpy())
        for name, variable in named.items()
        or ((variable.name, variable) for variable in others)
    )
    if table:
        description.parts.append(table)
    return description


def _mapping(weights: Any) -> dict[str, Any]:
    """Returns the variables that `hydra_tf.export_saved_model` keeps."""
    try:
        return dict(weights.items())
    except AttributeError:
        return {}


def _signature(name: str, function: Any) -> str:
    """Returns a signature in a line."""
    given = ", ".join(
        f"{key} {spec.dtype.name} {tuple(spec.shape)}"
        for key, spec in function.structured_input_signature[1].items()
    )
    returned = ", ".join(
        f"{key} {spec.dtype.name} {tuple(spec.shape)}"
        for key, spec in function.structured_outputs.items()
    )
    return f"{name} ({given} -> {returned})"
