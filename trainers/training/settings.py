"""All settings of a training run, from the flags that its binaries share.

Every training binary knows them all, so that one recipe serves the pipeline
and each of its phases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from collections.abc import Iterable
from typing import TYPE_CHECKING
from typing import Any

from flags import data_flags
from flags import evaluation_flags
from flags import model_flags
from flags import objective_flags
from flags import pipeline_flags
from flags import pruning_flags
from flags import run_flags
from flags import schedule_flags
from flags import training_flags
from flags import unread
from hydra_tf.registry.objectives import OBJECTIVES
from hydra_tf.registry.objectives import ObjectiveEntry

if TYPE_CHECKING:
    from hydra_tf.evaluation import EvaluationSettings
    from hydra_tf.objectives import Objective
    from hydra_tf.pruning import Pruning
    from hydra_tf.training import AttackSettings
    from hydra_tf.training import Execution
    from hydra_tf.training import OptimizerSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the flags say, as objects of the library where it has them.

    Attributes:
        data: Which images, and how many at a time.
        model: Which network.
        objective: What training minimises, without the ramps of `ramps`.
        pretrain_objective: The same for pretraining, if another.
        ramps: How the radius of the objective grows in each phase.
        attack: Radius, threat model and noise of the objective.
        evaluation: How a network is measured.
        num_examples: Number of test images evaluated; `None` is the default.
        pruning: How it is pruned.
        epochs: Epochs of each phase.
        optimizers: Optimiser of each phase.
        validation: How training is watched.
        attacks: How the attacks of training are made cheaper.
        weights: How weights are averaged and perturbed.
        quantize: What the finetune phase rounds weights to, or `"none"`.
        seed: Seed of all random numbers.
        execution: How phases are computed and shown.
        run: Where the run writes.
    """

    data: data_flags.DataSettings
    model: model_flags.ModelSettings
    objective: Objective
    pretrain_objective: Objective | None
    ramps: schedule_flags.Ramps
    attack: dict[str, Any]
    evaluation: EvaluationSettings
    num_examples: int | None
    pruning: Pruning
    epochs: dict[str, int]
    optimizers: dict[str, OptimizerSettings]
    validation: training_flags.ValidationSettings
    attacks: AttackSettings
    weights: dict[str, Any]
    quantize: str
    seed: int
    execution: Execution
    run: run_flags.RunSettings

    def bounds_needed_by(self, phases: Iterable[str]) -> str | None:
        """Returns the flag for which every layer must have bounds, if any.

        Args:
            phases: The phases of the run.
        """
        for phase in phases:
            entry = self.objective_entry(phase)
            if entry.needs_bounds:
                return f"--{self._objective_flag(phase)}={entry.name}"
        if self.evaluation.bounds:
            return f"--eval_certify={','.join(self.evaluation.bounds)}"
        return None

    def objective_entry(self, phase: str) -> ObjectiveEntry:
        """Returns the row of a phase's objective."""
        return OBJECTIVES.entry_of(type(self.objective_in(phase)))

    def objective_in(self, phase: str) -> Objective:
        """Returns the objective of a phase, without its ramp."""
        return getattr(self, self._objective_flag(phase))

    def _objective_flag(self, phase: str) -> str:
        """Returns the name of the flag that gives a phase's objective."""
        if phase == "pretrain" and self.pretrain_objective is not None:
            return "pretrain_objective"
        return "objective"

    def objective_of(self, phase: str, epochs: int) -> Objective:
        """Returns the objective of a phase, with the ramp of its radius."""
        objective = self.objective_in(phase)
        ramp = self.ramps.of_phase(objective, phase, epochs)
        return objective.with_ramp(*ramp)

    def attacks_of(self, phase: str) -> AttackSettings:
        """Returns how the attacks of a phase are made cheaper.

        The flags are for `--objective`; another of pretraining may not attack.
        """
        from hydra_tf.training import AttackSettings

        if self._objective_flag(phase) == "objective":
            return self.attacks
        return AttackSettings()

    def objective_record(self, phase: str, epochs: int) -> dict[str, Any]:
        """Returns what determines the objective of a phase, by flag name."""
        import keras

        objective = self.objective_in(phase)
        entry, config = self.objective_entry(phase), objective.get_config()
        record = {"objective": entry.name}
        for setting in entry.settings:
            if setting.flag_name is not None:
                record[setting.flag_name] = keras.saving.serialize_keras_object(
                    config[setting.name]
                )
        return record | self.ramps.record(objective, phase, epochs)

    def record(self, phase: str, epochs: int) -> dict[str, Any]:
        """Returns what determines a phase besides its `Phase`, by flag name.

        Args:
            phase: Name of the phase.
            epochs: Its epochs.
        """
        record = self.data.record()
        record["validation_fraction"] = self.validation.fraction
        if epochs:
            # In place of the ramps' schedules.
            record |= self.objective_record(phase, epochs)
        return record

    def unread(self, phases: Collection[str]) -> list[str]:
        """Returns a line about flags that were given and have no effect.

        Args:
            phases: The phases of the run.
        """
        entries = [self.objective_entry(phase) for phase in phases]
        names = unread.of_objectives(entries, self.evaluation)
        names += unread.of_evaluation(self.evaluation)
        if "prune" in phases:
            names += unread.of_pruning(self.pruning)
        names += unread.of_weights(self.pruning, phases)
        names += unread.of_finetuning(phases)
        names += unread.of_optimizer(next(iter(self.optimizers.values())))
        names += unread.of_data(self.data) + unread.of_workers()
        if not names:
            return []
        return [f"no effect in this run: {', '.join(names)}"]


def from_flags() -> Settings:
    """Returns the settings that the parsed flags stand for."""
    run = run_flags.run_from_flags()
    objective = objective_flags.objective_from_flags()
    pretrain_objective = objective_flags.pretrain_objective_from_flags()
    attack = objective_flags.attack_from_flags(objective)
    seed = training_flags.seed_from_flags()
    return Settings(
        data=data_flags.data_from_flags(),
        model=model_flags.model_from_flags(),
        objective=objective,
        pretrain_objective=pretrain_objective,
        ramps=schedule_flags.ramps_from_flags(),
        attack=attack,
        evaluation=evaluation_flags.evaluation_from_flags(
            objective=OBJECTIVES.entry_of(type(objective)).name,
            seed=seed,
            **attack,
        ),
        num_examples=evaluation_flags.num_examples_from_flags(),
        pruning=pruning_flags.pruning_from_flags(),
        epochs=pipeline_flags.pipeline_from_flags(),
        optimizers=training_flags.optimizers_from_flags(),
        validation=training_flags.validation_from_flags(),
        attacks=training_flags.attacks_from_flags(),
        weights=training_flags.weights_from_flags(),
        quantize=training_flags.quantize_from_flags(),
        seed=seed,
        execution=training_flags.execution_from_flags(),
        run=run,
    )
