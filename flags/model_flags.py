"""Flags of the network: its architecture or its source, its precision."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags.from_settings import define
from hydra_tf.registry.models import MODELS
from hydra_tf.registry.settings import OpenChoice
from hydra_tf.registry.table import is_own
from hydra_tf.registry.training import PRECISION

_MODEL = define(
    OpenChoice(
        name="model",
        choices=MODELS.names,
        others=is_own,
        or_else="package.module:function",
        help="Architecture: a name of hydra_tf.models such as vgg16_bn, "
        "wrn_28_4 or cifar_model_large, or package.module:function, called "
        "with input_shape and num_classes. Not needed where --source is given; "
        "then it is checked against the source.",
    )
)
_SOURCE = flags.DEFINE_multi_string(
    "source",
    None,
    "Network to start from: the folder of an earlier run, or any .keras file. "
    "trainers.evaluate takes SavedModels, too, and several networks, by commas "
    "or each by a --source of its own; elsewhere the last one counts.",
)
_NORMALIZE = flags.DEFINE_bool(
    "normalize",
    False,
    "Whether the network begins with a layer that normalises images by the "
    "mean and the deviation of the data set's channels (imagenet2012, cifar10, "
    "cifar100). Not used where --source gives the network.",
)
_PRECISION = define(PRECISION)


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which network, and in which precision; the fields are flags.

    Of several `--source` the last one is `source`.
    """

    model: str | None
    source: str | None
    sources: tuple[str, ...]
    normalize: bool
    precision: str


def model_from_flags() -> ModelSettings:
    """Returns the settings that the parsed flags stand for."""
    sources = tuple(_SOURCE.value or ())
    return ModelSettings(
        model=_MODEL.value,
        source=sources[-1] if sources else None,
        sources=sources,
        normalize=_NORMALIZE.value,
        precision=_PRECISION.value,
    )
