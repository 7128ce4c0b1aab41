"""What `metrics.json` says of a run: phases, settings, data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from hydra_tf.data import DatasetInfo
from hydra_tf.data import Pipeline
from hydra_tf.evaluation import Evaluation
from hydra_tf.evaluation import EvaluationSettings
from hydra_tf.pruning import Pruning
from hydra_tf.registry.training import EXECUTION
from trainers.run import environment
from trainers.run import source
from trainers.run.folder import RunFolder
from trainers.terminal import results
from trainers.terminal import startup
from trainers.training.settings import Settings

# What the comparison of methods has of each phase's entry.
_COMPARED = (
    "natural_accuracy",
    "robust_accuracy",
    "certified_accuracy",
    "intervals",
    "balanced_accuracy",
    "warnings",
    "num_examples",
    "chance_level",
    "not_above_chance",
)


def is_measured(
    evaluation: EvaluationSettings,
    phase: str,
    num_examples: int,
    folder: RunFolder,
) -> bool:
    """Whether a folder has the figures that the evaluation would give.

    Args:
        evaluation: How the phase's network is measured.
        phase: Name of the phase.
        num_examples: Number of images to measure on.
        folder: The folder.
    """
    entry = folder.read_metrics().get("phases", {}).get(phase)
    if entry is None:
        return False
    return (
        "natural_accuracy" in entry
        and entry.get("num_examples") == num_examples
        and entry.get("checkpoint")
        == source.fingerprint(folder.finished(phase))
        and evaluation.matches(entry)
    )


def measured(
    settings: Settings,
    phase: str,
    result: Evaluation,
    at_chance: Mapping[str, Any],
    folder: RunFolder,
) -> dict[str, Any]:
    """Returns what is added when a phase's network was measured.

    Args:
        settings: What the flags say.
        phase: Name of the phase.
        result: What was measured.
        at_chance: What `hydra_tf.evaluation.chance` says of it.
        folder: The folder, with the phase's history and network.
    """
    history = folder.phase(phase).read_history()
    last = history[-1] if history else {}
    best = last.get("best_epoch")
    entry = {
        **result.to_dict(),
        **at_chance,
        "epochs": last.get("epoch", 0),
        **({} if best is None else {"best_epoch": int(best)}),
        **({"stopped_early": True} if "stopped_early" in last else {}),
        "learning_rate": settings.optimizers[phase].peak(phase),
        "seconds": sum(epoch["seconds"] for epoch in history),
        "checkpoint": source.fingerprint(folder.finished(phase)),
        "history": history,
    }
    record = {"phases": {phase: entry}, "attacks": result.attacks}
    if result.certification:
        record["certification"] = result.certification
    return record


def run(
    settings: Settings,
    phase: str,
    epochs: Mapping[str, int],
    choice: Mapping[str, Any],
    replicas: int,
    folder: RunFolder,
) -> dict[str, Any]:
    """Returns how the result of a run came about.

    Args:
        settings: What the flags say.
        phase: The last phase.
        epochs: The phases of the run, each with its epochs.
        choice: How the weights were chosen.
        replicas: Number of devices.
        folder: The folder.
    """
    record = {
        "name": folder.path.resolve().name,
        "command": environment.command(),
        "binary": startup.name(),
        "phase": phase,
        "model": settings.model.model,
        "source": settings.model.source,
    }
    for name, count in epochs.items():
        # The ramps of all the phases.
        record |= settings.objective_record(name, count)
    if epochs.get("pretrain") and settings.pretrain_objective is not None:
        record["pretrain_objective"] = settings.objective_entry("pretrain").name
    return {
        **record,
        **choice,
        **settings.optimizers[phase].record(phase),
        **({"quantize": settings.quantize} if epochs.get("finetune") else {}),
        "seed": settings.seed,
        "validation_fraction": settings.validation.fraction,
        "select": settings.validation.select,
        "patience": settings.validation.patience,
        **dataclasses.asdict(settings.attacks),
        **settings.weights,
        **{
            each.name: getattr(settings.execution, each.name)
            for each in EXECUTION
        },
        "batch_size": settings.data.batch_size,
        "precision": settings.model.precision,
        "replicas": replicas,
    }


def compared(
    phase: Mapping[str, Any],
    size: Mapping[str, Any],
    density: float | None = None,
) -> dict[str, Any]:
    """Returns an entry of the table of methods, as `metrics.json` holds it.

    Args:
        phase: The entry of the last phase in `phases`.
        size: What is known of the SavedModel.
        density: What is left of the network, `None` before pruning.
    """
    entry = {"density": density} if density is not None else {}
    return {
        **entry,
        **{key: phase[key] for key in _COMPARED if key in phase},
        "saved_model": {
            key: size[key]
            for key in ("bytes", "compressed_bytes")
            if key in size
        },
    }


def comparison(entries: Mapping[str, Mapping[str, Any]]) -> list[results.Row]:
    """Returns the rows of the table of methods.

    Args:
        entries: What `compared` returned, by method.
    """
    return [
        (
            f"{method}, density {entry['density']:.3g}"
            if "density" in entry
            else method,
            entry,
            entry.get("saved_model") or {},
        )
        for method, entry in entries.items()
    ]


def compression(
    pruning: Pruning,
    sparsity: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """Returns how learned densities came to their target.

    Args:
        pruning: The target.
        sparsity: What is left of the network.
        history: Figures of each epoch of the prune phase. Rounds of pruning
            within it have figures of their own, which are not kept.
    """
    record: dict[str, Any] = {
        "target": pruning.density,
        "resource": pruning.resource,
        "achieved_weights": sparsity["density"],
        "achieved_flops": _ratio(
            sparsity["effective_flops"], sparsity["flops"]
        ),
    }
    if not history or "gamma" not in history[-1]:
        return record
    last = history[-1]
    return {
        **record,
        "gamma": last["gamma"],
        # As training decides it: when the loss is 0 to four decimals.
        "gamma_frozen_at_epoch": next(
            (
                int(epoch["epoch"])
                for epoch in history
                if round(epoch["compression_loss"], 4) == 0
            ),
            None,
        ),
        "best_epoch": int(last["best_epoch"]) if "best_epoch" in last else None,
        "density_before_settling": history[
            int(last.get("best_epoch", last["epoch"])) - 1
        ]["density"],
    }


def _ratio(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def dataset(
    info: DatasetInfo,
    train: Pipeline,
    validation: Pipeline | None,
    fraction: float,
    num_evaluated: int,
) -> dict[str, Any]:
    """Returns what a run was trained and measured on.

    Args:
        info: The data set.
        train: The training images.
        validation: Those of them that were held out, if any.
        fraction: The share of the training images that was taken.
        num_evaluated: Number of test images.
    """
    return {
        "name": info.name,
        "image_shape": list(info.image_shape),
        "num_classes": info.num_classes,
        "class_names": list(train.class_names),
        "fraction": fraction,
        "num_train": train.num_examples,
        "num_validation": 0 if validation is None else len(validation),
        "num_test": info.num_test,
        "num_evaluated": num_evaluated,
        "augmented": train.augmentation is not None,
        "cutmix": train.cutmix,
        "num_extra": train.num_extra,
        "extra_fraction": train.extra_fraction,
    }
