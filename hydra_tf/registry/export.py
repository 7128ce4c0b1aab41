"""Formats of exports and their settings."""

from __future__ import annotations

import dataclasses

from hydra_tf.registry.settings import Choice
from hydra_tf.registry.settings import Count
from hydra_tf.registry.settings import Names
from hydra_tf.registry.settings import Switch

QUANTIZE = Choice(
    name="quantize",
    default="none",
    choices=("none", "float16", "dynamic", "int8"),
    help="How a LiteRT file holds numbers: weights as float16; weights as int8 "
    "and sums in floats (dynamic); weights, activations and sums as integers "
    "(int8).",
)
SPARSE = Switch(
    name="sparse",
    default=False,
    help="Whether a LiteRT file holds kernels with many zeros without them.",
)
THREADS = Count(
    name="threads",
    flag="latency_threads",
    default=1,
    lower=1,
    help="Threads of LiteRT and ONNX Runtime when --formats are timed.",
)


@dataclasses.dataclass(frozen=True)
class Format:
    """A format in which a network leaves the program.

    Attributes:
        name: Its name, for `--formats`.
        title: What tables call it.
        suffix: Of its file, empty for a folder.
        quantize: Of a LiteRT file.
        sparse: Whether a LiteRT file holds zeros without room.
    """

    name: str
    title: str
    suffix: str
    quantize: str = "none"
    sparse: bool = False


FORMATS = {
    each.name: each
    for each in (
        Format("saved_model", "SavedModel", ""),
        Format("serving", "TensorFlow Serving", ""),
        Format("litert", "LiteRT", ".tflite"),
        Format("litert_float16", "LiteRT float16", ".tflite", "float16"),
        Format("litert_dynamic", "LiteRT dynamic int8", ".tflite", "dynamic"),
        Format("litert_int8", "LiteRT int8", ".tflite", "int8"),
        Format("litert_sparse", "LiteRT sparse", ".tflite", sparse=True),
        Format(
            "litert_int8_sparse", "LiteRT int8 sparse", ".tflite", "int8", True
        ),
        Format("onnx", "ONNX", ".onnx"),
    )
}
FORMAT_NAMES = Names(
    name="formats",
    default=("saved_model",),
    choices=tuple(FORMATS),
    help="Formats to write, separated by commas. There is always a SavedModel; "
    "asked for by name, it is written in TensorFlow Serving's layout as well, "
    "as serving writes it. LiteRT and ONNX files are measured on the test "
    "images: size, time, accuracy, agreement with the network in floats, and "
    "what they withstand.",
)
