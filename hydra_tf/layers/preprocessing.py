"""What layers of preprocessing learnt from data, beyond their variables."""

from __future__ import annotations

import tempfile
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.keras_internals import flatten_layers


def copy_adapted(old: Any, new: Any) -> None:
    """Copies what `adapt` found to a layer, and to those inside it.

    Its variables have to be copied before: a `Normalization` computes with
    constants that it makes of them.

    Args:
        old: The layer or model to read.
        new: Its counterpart.

    Raises:
        InputError: If a layer's vocabulary cannot be copied.
    """
    for source, target in zip(
        flatten_layers(old), flatten_layers(new), strict=True
    ):
        if isinstance(target, keras.layers.Normalization):
            target.finalize_state()
        if hasattr(target, "load_assets"):
            _copy_assets(source, target)


def _copy_assets(source: Any, target: Any) -> None:
    """Copies vocabularies as a `.keras` file does."""
    stored: dict[str, Any] = {}
    try:
        source.save_own_variables(stored)
        target.load_own_variables(stored)
        with tempfile.TemporaryDirectory() as folder:
            source.save_assets(folder)
            target.load_assets(folder)
    # Anything: a lookup without vocabulary, or a user's own layer.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"layer '{source.name}' ({type(source).__name__}) can't be copied "
            f"with its vocabulary: {lines[0]}. Give it a vocabulary "
            "(`adapt`, or the argument `vocabulary`), or do without a copy, "
            "with `in_place=True`"
        ) from error
