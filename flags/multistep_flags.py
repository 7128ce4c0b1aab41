"""Flags of pruning in several steps, with training between them."""

from __future__ import annotations

import dataclasses

from absl import flags

from flags import parsing

_MULTISTEP = flags.DEFINE_bool(
    "multistep",
    False,
    "Whether the prune phase removes a little at a time: in each round "
    "--method chooses the weights that stay, which then train on as in "
    "finetuning.",
)
_PRUNING_SCHEDULE = parsing.DEFINE_name(
    "pruning_schedule",
    "polynomial",
    ("polynomial", "constant"),
    "How the density falls over the rounds of --multistep: gradually "
    "(polynomial), or to its final value in the first round (constant).",
)
_PRUNING_ROUNDS = parsing.DEFINE_count(
    "pruning_rounds",
    10,
    "Rounds of --multistep, spread evenly over the prune phase; at most one "
    "per epoch.",
    lower=1,
)
_ROUND_EPOCHS = parsing.DEFINE_count(
    "round_epochs",
    1,
    "Epochs for which hydra and harp train their scores in each round of "
    "--multistep, on top of the epochs of the phase.",
    lower=1,
)
_ROUND_LEARNING_RATE = parsing.DEFINE_number(
    "round_learning_rate",
    None,
    "Peak learning rate of the scores in a round of --multistep; the weights "
    "between rounds train at --prune_learning_rate. By default that of the "
    "recipe: 0.1 with sgd, 0.001 with adam and rmsprop.",
    lower=0,
    exclude_lower=True,
    hint="the peak learning rate of the scores",
)


@dataclasses.dataclass(frozen=True)
class MultistepSettings:
    """The rounds of the prune phase; the fields are flags."""

    multistep: bool
    pruning_schedule: str
    pruning_rounds: int
    round_epochs: int
    round_learning_rate: float | None


def multistep_from_flags() -> MultistepSettings:
    """Returns the settings that the parsed flags stand for."""
    return MultistepSettings(
        multistep=_MULTISTEP.value,
        pruning_schedule=_PRUNING_SCHEDULE.value,
        pruning_rounds=_PRUNING_ROUNDS.value,
        round_epochs=_ROUND_EPOCHS.value,
        round_learning_rate=_ROUND_LEARNING_RATE.value,
    )
