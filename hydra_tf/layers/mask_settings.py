"""What the mask of a weight is asked to be, before there is one."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from hydra_tf.errors import InputError
from hydra_tf.layers.channels import Channels
from hydra_tf.ops.counts import check_density
from hydra_tf.ops.rates import check_min_density
from hydra_tf.registry.granularities import WEIGHT
from hydra_tf.registry.granularities import check_granularity
from hydra_tf.registry.granularities import is_n_of_m
from hydra_tf.registry.granularities import n_of_m
from hydra_tf.registry.methods import LEARN

SCALED = "scaled"


def check_learns(value: Any, name: str = "learns") -> None:
    """Raises `InputError` unless a value says what the prune phase learns."""
    dataclasses.replace(LEARN, name=name).check(value)


def check_fixed_density(granularity: str, density: float) -> None:
    """Raises `InputError` if N:M fixes another density."""
    if not is_n_of_m(granularity):
        return
    n, m = n_of_m(granularity)
    if density != n / m:
        raise InputError(
            f"`density` of a layer of granularity {granularity} is {n / m:g}. "
            f"Received: density={density}"
        )


def _initializer(value: Any) -> Any:
    try:
        return keras.initializers.get(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"`scores_initializer` must be '{SCALED}' or a Keras initializer "
            "(keras.initializers.RandomUniform(), or its name). "
            f"Received: scores_initializer={value!r}"
        ) from error


@dataclasses.dataclass(frozen=True)
class MaskSettings:
    """The arguments of a masked layer that concern its mask.

    `hydra_tf.layers.MaskedLayer` says what they mean.

    Raises:
        InputError: If one is wrong.
    """

    density: float = 1.0
    scores_initializer: Any = SCALED
    granularity: str = WEIGHT
    input_channels: Channels | None = None
    output_channels: Channels | None = None
    min_density: float | None = None
    other_min_density: float | None = None
    learns: str = "both"

    def __post_init__(self) -> None:
        check_density(self.density)
        check_granularity(self.granularity)
        check_learns(self.learns)
        for least in (self.min_density, self.other_min_density):
            if least is not None:
                check_min_density(least)
        density = float(self.density)
        if is_n_of_m(self.granularity) and density == 1.0:
            # The default stands for the density that follows.
            n, m = n_of_m(self.granularity)
            density = n / m
        check_fixed_density(self.granularity, density)
        initializer = self.scores_initializer
        if initializer is None:
            initializer = SCALED
        if initializer != SCALED:
            initializer = _initializer(initializer)
        for name, value in {
            "density": density,
            "scores_initializer": initializer,
            "input_channels": Channels.from_config(self.input_channels),
            "output_channels": Channels.from_config(self.output_channels),
        }.items():
            object.__setattr__(self, name, value)

    def to_config(self) -> dict[str, Any]:
        """Returns plain data, the arguments of a masked layer."""
        config = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        if self.scores_initializer != SCALED:
            config["scores_initializer"] = keras.initializers.serialize(
                self.scores_initializer
            )
        for name in ("input_channels", "output_channels"):
            if config[name] is not None:
                config[name] = config[name].to_config()
        return config
