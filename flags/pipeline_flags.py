"""Flags of the pipeline: its phases, and the methods it compares."""

from __future__ import annotations

import dataclasses

from flags import parsing
from flags import pruning_flags
from flags import training_flags
from hydra_tf.phases import PHASES

_PRETRAIN_EPOCHS = parsing.DEFINE_count(
    "pretrain_epochs",
    100,
    "Epochs of pretraining; not used where --source gives the network.",
)
_PRUNE_EPOCHS = parsing.DEFINE_count(
    "prune_epochs",
    20,
    "Epochs of pruning; none for lwm, random and snip, which do not train.",
)
_FINETUNE_EPOCHS = parsing.DEFINE_count(
    "finetune_epochs",
    100,
    "Epochs of finetuning. With 0 the pruned network is the result, as in the "
    "search for robust sub-networks.",
)
_EPOCHS = {
    "pretrain": _PRETRAIN_EPOCHS,
    "prune": _PRUNE_EPOCHS,
    "finetune": _FINETUNE_EPOCHS,
}
_LEARNING_RATES = {
    phase: parsing.DEFINE_number(
        f"{phase}_learning_rate",
        None,
        f"Peak learning rate of the {phase} phase. By default "
        "--learning_rate, or the recipe's.",
        lower=0,
        exclude_lower=True,
        hint="the peak learning rate",
    )
    for phase in PHASES
}
_COMPARE = parsing.DEFINE_names(
    "compare",
    (),
    pruning_flags.METHODS,
    "Other methods that prune and finetune the same pretrained network to the "
    "same density, for comparison, separated by commas.",
)


@dataclasses.dataclass(frozen=True)
class PipelineSettings:
    """The course of a pipeline; the fields are flags."""

    epochs: dict[str, int]
    learning_rates: dict[str, float | None]
    compare: tuple[str, ...]

    def training(
        self, phase: str, settings: training_flags.TrainingSettings
    ) -> training_flags.TrainingSettings:
        """Returns the training settings of one phase."""
        rate = self.learning_rates[phase]
        if rate is None:
            return settings
        return dataclasses.replace(settings, learning_rate=rate)


def pipeline_from_flags() -> PipelineSettings:
    """Returns the settings that the parsed flags stand for."""
    return PipelineSettings(
        epochs={phase: flag.value for phase, flag in _EPOCHS.items()},
        learning_rates={
            phase: flag.value for phase, flag in _LEARNING_RATES.items()
        },
        compare=tuple(_COMPARE.value),
    )
