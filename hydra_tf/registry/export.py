"""Settings of exports."""

from __future__ import annotations

from hydra_tf.registry.settings import Choice

QUANTIZE = Choice(
    name="quantize",
    default="none",
    choices=("none", "float16", "dynamic", "int8"),
    help="How a LiteRT file holds numbers: weights as float16; weights as int8 "
    "and sums in floats (dynamic); weights, activations and sums as integers "
    "(int8).",
)
