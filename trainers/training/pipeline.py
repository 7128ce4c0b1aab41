"""The pipeline's phases in their order, for one method or for several."""

from __future__ import annotations

import functools
from typing import Any

import keras

from hydra_tf.progress import say
from trainers.model_card import card as model_card
from trainers.run import records
from trainers.run import source
from trainers.run.folder import RunFolder
from trainers.terminal import results
from trainers.training import experiment
from trainers.training import finishing
from trainers.training import settings


def run() -> None:
    """Runs the pipeline as the flags say, and shows what came of it."""
    parsed = settings.from_flags()
    run = planned(parsed)
    main_method, others = parsed.pruning.method, compared(parsed)
    run.begin(epochs(run), others)
    folders = {
        method: run.folder
        if method == main_method
        else run.folder.comparison(method)
        for method in (main_method, *others)
    }
    pretrained = _pretrain(run)
    if run.workers.is_chief:
        finishing.unpruned_size(run, pretrained)
    digest = source.fingerprint(run.folder.finished("pretrain"))
    for method, folder in folders.items():
        _prune_and_finetune(run, pretrained, method, folder, digest)
    run.workers.on_chief(lambda: _show(run, folders))


def _show(run: experiment.Experiment, folders: dict[str, RunFolder]) -> None:
    """Records the methods side by side, and shows what came of the run."""
    parsed, (_, *others) = run.settings, folders
    table = {}
    if _is_trained(run):
        metrics = run.folder.read_metrics()
        table["before pruning"] = records.compared(
            metrics["phases"]["pretrain"], metrics["artifacts"]["unpruned"]
        )
    last = "finetune" if run.settings.epochs["finetune"] else "prune"
    for method, folder in folders.items():
        metrics = folder.read_metrics()
        table[method] = records.compared(
            metrics["phases"][last],
            metrics["artifacts"]["saved_model"],
            metrics["sparsity"]["density"],
        )
    _record_comparison(run.folder, table if others else None)
    if not run.worked:
        say(f"{run.folder.path}: finished before; nothing to do")
    num_examples = len(run.test_arrays[1])
    say(f"\n{results.table(records.comparison(table))}\n")
    say(results.conditions(num_examples, run.info.name, parsed.evaluation))
    say(f"SavedModel:   {run.folder.saved_model}")
    for method in others:
        say(f"  of {method}: {run.folder.comparison(method).saved_model}")
    say(f"Densities:    {run.folder.density_plot}")
    if run.folder.learning_curves.is_file():
        say(f"Validation:   {run.folder.learning_curves}")
    say(f"All figures:  {run.folder.metrics}")
    say(f"TensorBoard:  tensorboard --logdir {run.folder.path}")


def planned(parsed: settings.Settings) -> experiment.Experiment:
    """Returns the run that settings stand for, not begun yet.

    Args:
        parsed: The settings.

    Raises:
        InputError: If they contradict each other.
    """
    pruning = parsed.pruning
    for each in (pruning, *map(pruning.with_method, compared(parsed))):
        each.epochs(parsed.epochs["prune"])
    return experiment.Experiment(parsed)


def compared(parsed: settings.Settings) -> list[str]:
    """Returns the methods that the run is compared with."""
    pruning = parsed.pruning
    return [name for name in pruning.compare if name != pruning.method]


def _record_comparison(
    folder: RunFolder, table: dict[str, dict[str, Any]] | None
) -> None:
    """Adds the table of methods to the folder's record and card."""
    if folder.read_metrics().get("comparison") != table:
        metrics = folder.merge_metrics({"comparison": table})
        model_card.write(folder.path, metrics)


def epochs(run: experiment.Experiment) -> dict[str, int]:
    """Returns the phases of the main method, each with its epochs."""
    count = dict(run.settings.epochs)
    if run.source_path:
        count["pretrain"] = 0
    count["prune"] = run.settings.pruning.epochs(count["prune"])
    return count


def _pretrain(run: experiment.Experiment) -> keras.Model:
    """Returns the network to prune, trained now or given by `--source`."""
    network = run.run_phase(
        "pretrain",
        run.first_network,
        epochs(run)["pretrain"],
        origin=source.fingerprint(run.source_path) if run.source_path else None,
    )
    if _is_trained(run):
        run.measure("pretrain", network)
    return network


def _is_trained(run: experiment.Experiment) -> bool:
    """Whether the network to prune knows anything to be measured."""
    return bool(run.source_path or epochs(run)["pretrain"])


def _prune_and_finetune(
    run: experiment.Experiment,
    pretrained: keras.Model,
    method: str,
    folder: RunFolder,
    digest: str,
) -> None:
    """Takes the pretrained network through the other phases."""
    where: dict[str, Any] = {"method": method, "folder": folder}
    count = run.pruning(method).epochs(run.settings.epochs["prune"])
    network = run.run_phase(
        "prune",
        functools.partial(run.start_pruning, pretrained, count, method),
        count,
        origin=digest,
        **where,
    )
    run.measure("prune", network, folder=folder)
    last = "prune"
    if run.settings.epochs["finetune"]:
        pruned = network
        network = run.run_phase(
            "finetune",
            lambda: pruned,
            run.settings.epochs["finetune"],
            origin=source.fingerprint(folder.finished("prune")),
            **where,
        )
        run.measure("finetune", network, folder=folder)
        last = "finetune"
    finishing.finish(run, last, network, **where)
