"""Flags of `trainers.inspect`, all that its binary knows."""

from __future__ import annotations

from absl import flags

FLAGS = flags.FlagValues()

_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "What to look at: the folder of a run, of a SavedModel or of the versions "
    "of TensorFlow Serving, a .keras, .tflite or .onnx file.",
    flag_values=FLAGS,
)


def source_from_flags() -> str:
    """Returns the value of `--source`.

    Raises:
        flags.ValidationError: If it is missing.
    """
    if not _SOURCE.value:
        raise flags.ValidationError(
            "flag --source: is required; name a folder or a file"
        )
    return _SOURCE.value
