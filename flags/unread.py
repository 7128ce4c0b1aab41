"""Flags that were given and that nothing reads, so that somebody is told."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import flags

from flags import objective_flags
from flags import schedule_flags
from hydra_tf.registry import attacks
from hydra_tf.registry import evaluation as registry
from hydra_tf.registry import methods
from hydra_tf.registry import training
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.datasets import EXTRA_FRACTION

if TYPE_CHECKING:
    from flags.data_flags import DataSettings
    from hydra_tf.evaluation import EvaluationSettings
    from hydra_tf.pruning import Pruning
    from hydra_tf.registry.objectives import ObjectiveEntry
    from hydra_tf.training import OptimizerSettings


def of_objectives(
    entries: Collection[ObjectiveEntry], evaluation: EvaluationSettings
) -> list[str]:
    """Returns the flags of other objectives, and of radii that ramp up.

    Args:
        entries: The objectives of the run's phases.
        evaluation: What may read them in its place.
    """
    read = {
        setting.flag_name for entry in entries for setting in entry.settings
    }
    read |= {"epsilon", "threat_model"}
    if evaluation.smoothing is not None:
        read.add("sigma")
    unread = [name for name in objective_flags.NAMES if name not in read]
    if not any(entry.needs_bounds for entry in entries):
        unread += schedule_flags.NAMES
    return list(_given(unread))


def of_evaluation(evaluation: EvaluationSettings) -> list[str]:
    """Returns the flags of attacks and proofs that are not made."""
    entries = [ATTACKS.entry(name) for name in evaluation.attacks]
    unread = [
        setting.flag_name
        for setting in (
            attacks.NUM_STEPS,
            attacks.STEP_SIZE,
            attacks.NUM_RESTARTS,
        )
        if not any(entry.reads(setting.name) for entry in entries)
    ]
    if evaluation.smoothing is None:
        unread += [registry.RADII.flag_name, registry.NUM_SAMPLES.flag_name]
    return list(_given(unread))


def of_pruning(pruning: Pruning) -> list[str]:
    """Returns the flags of other ways of pruning than that of the run."""
    each = [pruning, *map(pruning.with_method, pruning.compare)]
    read = {name for one in each for name in one.in_use()}
    if not any(one.density_is_target for one in each):
        read.discard("density")
    unread = _given(
        setting.flag_name
        for setting in methods.SETTINGS
        if setting.name not in read
    )
    itself = f"--compare={pruning.method}"
    return [*unread, *([itself] * (pruning.method in pruning.compare))]


def of_weights(pruning: Pruning, phases: Iterable[str]) -> list[str]:
    """Returns the flags of perturbations where nothing is perturbed.

    Args:
        pruning: The pruning of the run.
        phases: The phases of the run.
    """
    phases = set(phases)
    each = [pruning, *map(pruning.with_method, pruning.compare)]
    if "prune" not in phases:
        each = []
    unread = []
    if phases <= {"prune"} and not any(one.trains_kernels for one in each):
        unread.append(training.WEIGHT_PERTURBATION.name)
    weights = flags.FLAGS[training.WEIGHT_PERTURBATION.name].value
    if (unread or not weights) and not any(
        one.trains_scores and one.score_perturbation and not one.multistep
        for one in each
    ):
        unread.append(training.PERTURBATION_WARMUP.name)
    return list(_given(unread))


def of_finetuning(phases: Collection[str]) -> list[str]:
    """Returns the flags of finetuning where no phase finetunes.

    Args:
        phases: The phases of the run.
    """
    if "finetune" in phases:
        return []
    return list(_given([training.QUANTIZE.name]))


def of_optimizer(settings: OptimizerSettings) -> list[str]:
    """Returns the flags of optimisers that are not used, and of no warm-up.

    Args:
        settings: The optimiser of a phase.
    """
    unread = []
    if not settings.has_momentum:
        unread.append("momentum")
    if not settings.warmup_epochs:
        unread.append("warmup_learning_rate")
    return list(_given(unread))


def of_workers() -> list[str]:
    """Returns the flags of a cluster, of which there is none."""
    strategy = flags.FLAGS[training.STRATEGY.name].value
    if strategy == "multi_worker":
        return []
    return list(_given(setting.name for setting in training.CLUSTER))


def of_data(data: DataSettings) -> list[str]:
    """Returns the flags of extra images where there are none."""
    return [] if data.extra_data else list(_given([EXTRA_FRACTION.name]))


def _given(names: Iterable[str | None]) -> Iterator[str]:
    """Yields the flags, of those named, that the command line has."""
    for name in names:
        if name in flags.FLAGS and flags.FLAGS[name].present:
            yield f"--{name}"
