"""Flags of pruning: which weights stay, how many, and in which layers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

from flags.from_settings import define
from flags.from_settings import define_all
from hydra_tf.registry.methods import METHODS
from hydra_tf.registry.methods import SETTINGS
from hydra_tf.registry.settings import Names

if TYPE_CHECKING:
    from hydra_tf.pruning.method import Pruning

_SETTINGS = define_all(SETTINGS)
_COMPARE = define(
    Names(
        name="compare",
        default=(),
        choices=METHODS.names,
        help="Other methods by which the pipeline prunes and finetunes the "
        "same pretrained network to the same density, for comparison, "
        "separated by commas.",
    )
)


def pruning_from_flags() -> Pruning:
    """Returns the pruning that the parsed flags stand for.

    Raises:
        InputError: If they contradict each other, or no method reads one.
    """
    from hydra_tf.pruning.method import Pruning

    return Pruning(
        **{name: flag.value for name, flag in _SETTINGS.items()},
        compare=tuple(_COMPARE.value),
    )


def as_flags(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns settings of pruning by the names of their flags."""
    return {
        str(setting.flag_name): settings[setting.name]
        for setting in SETTINGS
        if setting.name in settings
    }
