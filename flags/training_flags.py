"""Flags of the optimiser and of the machine it runs on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from flags import parsing

if TYPE_CHECKING:
    from hydra_tf.training import OptimizerSettings

_LEARNING_RATE = parsing.DEFINE_number(
    "learning_rate",
    None,
    "Peak learning rate. By default that of the recipe: with sgd 0.1 to "
    "pretrain and prune and 0.01 to finetune, with adam and rmsprop 0.001 "
    "and 0.0001.",
    lower=0,
    exclude_lower=True,
    hint="the peak learning rate",
)
_OPTIMIZER = parsing.DEFINE_name(
    "optimizer", "sgd", ("sgd", "adam", "rmsprop"), "Optimiser."
)
_LR_SCHEDULE = parsing.DEFINE_name(
    "lr_schedule",
    "cosine",
    ("cosine", "step", "constant"),
    "How the learning rate falls over a phase.",
)
_WARMUP_EPOCHS = parsing.DEFINE_count(
    "warmup_epochs",
    0,
    "Epochs at --warmup_learning_rate before --lr_schedule begins; they count "
    "among those of the phase.",
)
_WARMUP_LEARNING_RATE = parsing.DEFINE_number(
    "warmup_learning_rate",
    None,
    "Learning rate of the warm-up epochs. By default a tenth of the peak.",
    lower=0,
    exclude_lower=True,
    hint="the learning rate of the warm-up",
)
_MOMENTUM = parsing.DEFINE_number(
    "momentum",
    0.9,
    "Momentum of sgd and rmsprop, in [0, 1].",
    lower=0,
    upper=1,
    hint="the momentum",
)
_WEIGHT_DECAY = parsing.DEFINE_number(
    "weight_decay",
    1e-4,
    "Weight decay, at least 0. In the prune phase it acts on the scores.",
    lower=0,
    hint="the weight decay",
)
_SEED = parsing.DEFINE_count(
    "seed",
    0,
    "Seed of the initial weights, the order of the images and the attacks.",
)
_STRATEGY = parsing.DEFINE_name(
    "strategy",
    "auto",
    ("auto", "none", "mirrored"),
    "Distribution over the devices of this machine: mirrored uses them all; "
    "auto does where there is more than one GPU.",
)
_STEPS_PER_EXECUTION = parsing.DEFINE_count(
    "steps_per_execution",
    1,
    "Training steps per call into TensorFlow.",
    lower=1,
)
_JIT_COMPILE = parsing.DEFINE_name(
    "jit_compile",
    "auto",
    ("auto", "on", "off"),
    "Whether XLA compiles the training step: auto does on GPUs, not on CPUs, "
    "where it is slower.",
)


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How weights are trained; the fields are flags.

    A `learning_rate` of `None` stands for the recipe's, phase by phase.
    """

    learning_rate: float | None
    optimizer: str
    lr_schedule: str
    warmup_epochs: int
    warmup_learning_rate: float | None
    momentum: float
    weight_decay: float
    seed: int
    strategy: str
    steps_per_execution: int
    jit_compile: str

    def optimizer_settings(self) -> OptimizerSettings:
        """Returns the settings of the optimiser."""
        from hydra_tf.registry import training as registry
        from hydra_tf.training import OptimizerSettings

        return OptimizerSettings(
            **{
                each.name: getattr(self, each.name)
                for each in registry.OPTIMIZER
            }
        )

    def peak_learning_rate(self, phase: str) -> float:
        """Returns the learning rate of a phase, the recipe's if not given."""
        if self.learning_rate is not None:
            return self.learning_rate
        rate = 0.1 if self.optimizer == "sgd" else 1e-3
        return rate / 10 if phase == "finetune" else rate


def training_from_flags() -> TrainingSettings:
    """Returns the settings that the parsed flags stand for."""
    return TrainingSettings(
        learning_rate=_LEARNING_RATE.value,
        optimizer=_OPTIMIZER.value,
        lr_schedule=_LR_SCHEDULE.value,
        warmup_epochs=_WARMUP_EPOCHS.value,
        warmup_learning_rate=_WARMUP_LEARNING_RATE.value,
        momentum=_MOMENTUM.value,
        weight_decay=_WEIGHT_DECAY.value,
        seed=_SEED.value,
        strategy=_STRATEGY.value,
        steps_per_execution=_STEPS_PER_EXECUTION.value,
        jit_compile=_JIT_COMPILE.value,
    )
