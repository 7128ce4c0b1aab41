"""Flags of the network: its architecture or its source, its precision."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import parsing

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "Architecture: a name of hydra_tf.models such as vgg16_bn, wrn_28_4 or "
    "cifar_model_large, or package.module:function, called with input_shape "
    "and num_classes. Not needed where --source is given; then it is checked "
    "against the source.",
)
_SOURCE = flags.DEFINE_string(
    "source",
    None,
    "Network to start from: the folder of an earlier run, or any .keras file.",
)
_PRECISION = parsing.DEFINE_name(
    "precision",
    "float32",
    ("float32", "mixed_bfloat16", "mixed_float16"),
    "Precision of the computation; kernels and scores stay float32.",
)


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which network, and in which precision; the fields are flags."""

    model: str | None
    source: str | None
    precision: str


def model_from_flags() -> ModelSettings:
    """Returns the settings that the parsed flags stand for."""
    return ModelSettings(
        model=_MODEL.value,
        source=_SOURCE.value,
        precision=_PRECISION.value,
    )
