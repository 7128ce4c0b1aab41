"""All settings of a training run, from the flags that its binaries share.

Every training binary knows them all, so that one recipe serves the pipeline
and each of its phases.
"""

from __future__ import annotations

import dataclasses
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
from hydra_tf.registry.evaluation import EvaluationSettings


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the flags say, by family.

    `num_examples` counts the test images evaluated; `None` is the default.
    """

    data: data_flags.DataSettings
    model: model_flags.ModelSettings
    objective: objective_flags.ObjectiveSettings
    schedule: schedule_flags.ScheduleSettings
    evaluation: EvaluationSettings
    num_examples: int | None
    pruning: pruning_flags.PruningSettings
    training: training_flags.TrainingSettings
    pipeline: pipeline_flags.PipelineSettings
    run: run_flags.RunSettings

    @property
    def bounds_needed_by(self) -> str | None:
        """The flag for which every layer must have bounds, if there is one."""
        if self.objective.verifiable:
            return f"--objective={self.objective.objective}"
        if self.evaluation.bounds:
            return f"--eval_certify={','.join(self.evaluation.bounds)}"
        return None

    def of_phase(self, phase: str) -> training_flags.TrainingSettings:
        """Returns the training settings of a phase."""
        return self.pipeline.training(phase, self.training)

    def objective_of(
        self, phase: str, epochs: int
    ) -> objective_flags.ObjectiveSettings:
        """Returns the objective of a phase, with the ramp of its radius."""
        return self.objective.of_phase(phase, epochs, self.schedule)

    def objective_record(self, phase: str, epochs: int) -> dict[str, Any]:
        """Returns what determines the objective of a phase, by flag name."""
        record = self.objective_of(phase, epochs).in_use()
        if self.objective.verifiable:
            start = record.pop("ramp_start", 0.0)
            end = record.pop("ramp_end", 0.0)
            prefix = "" if phase == "pretrain" else f"{phase}_"
            record[f"{prefix}schedule_length"] = end - start
            if start:
                record["schedule_start"] = start
        return record

    def record(self, phase: str, epochs: int) -> dict[str, Any]:
        """Returns what determines a phase besides its `Phase`, by flag name.

        Args:
            phase: Name of the phase.
            epochs: Its epochs.
        """
        record = dataclasses.asdict(self.data)
        for name in ("data_dir", "cache"):
            # How it is read, not what.
            record.pop(name)
        if epochs:
            record |= self.objective_record(phase, epochs)
        return record


def from_flags() -> Settings:
    """Returns the settings that the parsed flags stand for."""
    run = run_flags.run_from_flags()
    objective = objective_flags.objective_from_flags()
    schedule = schedule_flags.schedule_from_flags()
    training = training_flags.training_from_flags()
    pruning = pruning_flags.pruning_from_flags()
    pipeline = pipeline_flags.pipeline_from_flags()
    pruning_flags.check_methods(pruning, pipeline.compare)
    return Settings(
        data=data_flags.data_from_flags(),
        model=model_flags.model_from_flags(),
        objective=objective,
        schedule=schedule,
        evaluation=evaluation_flags.evaluation_from_flags(
            objective=objective.objective,
            epsilon=objective.epsilon,
            threat_model=objective.threat_model,
            sigma=objective.sigma,
            seed=training.seed,
        ),
        num_examples=evaluation_flags.num_examples_from_flags(),
        pruning=pruning,
        training=training,
        pipeline=pipeline,
        run=run,
    )
