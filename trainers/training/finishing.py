"""The end of a run: its network exported, its record and card complete."""

from __future__ import annotations

import pathlib
import tempfile
from typing import TYPE_CHECKING
from typing import Any

import keras

from flags import pruning_flags
from hydra_tf import export
from hydra_tf import files
from trainers.model_card import card as model_card
from trainers.run import environment
from trainers.run import networks
from trainers.run import records
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder
from trainers.training import plotting

if TYPE_CHECKING:
    from trainers.training.experiment import Experiment


def finish(
    run: Experiment,
    phase: str,
    network: keras.Model,
    *,
    method: str | None = None,
    folder: RunFolder | None = None,
) -> None:
    """Exports a network and completes the folder's record.

    Args:
        run: The run.
        phase: The last phase, whose network it is.
        network: The network.
        method: Pruning method, if not that of the flags.
        folder: Folder to write to, if not the run's.
    """
    if not run.workers.is_chief:
        return
    folder = folder or run.folder
    if folder is not run.folder:
        files.write_text(
            folder.flagfile,
            as_flagfile(
                environment.command(),
                **pruning_flags.as_flags(vars(run.pruning(method))),
                compare=[],
                output_dir=str(folder.path),
            ),
        )
    digest = source.fingerprint(folder.finished(phase))
    metrics = folder.read_metrics()
    artifacts = metrics.get("artifacts", {})
    if (
        not run.worked
        and {"sparsity", "artifacts"} <= metrics.keys()
        and "saved_model" in artifacts
        and files.recover_directory(folder.saved_model)
        and artifacts.get("exported_checkpoint") == digest
        and folder.readme.is_file()
        and folder.density_plot.is_file() == (phase != "pretrain")
        and folder.learning_curves.is_file() == bool(plotting.validated(folder))
    ):
        return
    run.worked = True
    exported = export.export_saved_model(network, folder.saved_model)
    sparsity = networks.sparsity(network)
    choice = run.pruning(method)
    if "prune" in run.epochs and choice.learns_densities:
        sparsity["learned"] = records.compression(
            choice, sparsity, folder.phase("prune").read_history()
        )
    metrics = folder.merge_metrics(
        {
            "run": records.run(
                run.settings,
                phase,
                run.epochs,
                _choice(run, phase, method, sparsity["density"]),
                run.strategy.num_replicas_in_sync,
                folder,
            ),
            "sparsity": sparsity,
            "artifacts": {
                "saved_model": {
                    **exported.to_dict(),
                    "path": folder.saved_model.name,
                },
                **_plots(run, phase, sparsity, method, folder),
                "checkpoints": folder.describe_checkpoints(),
                "exported_checkpoint": digest,
            },
            "environment": environment.describe(),
            "dataset": records.dataset(
                run.info,
                run.train_data,
                run.validation_data,
                run.settings.data.fraction,
                len(run.test_arrays[1]),
            ),
        }
    )
    model_card.write(folder.path, metrics)


def unpruned_size(run: Experiment, network: keras.Model) -> dict[str, Any]:
    """Returns the size that a network has as a SavedModel.

    Args:
        run: The run, whose record keeps it.
        network: The network.
    """
    known = run.folder.read_metrics().get("artifacts", {})
    if "unpruned" not in known:
        with tempfile.TemporaryDirectory() as temporary:
            exported = export.export_saved_model(
                network, pathlib.Path(temporary) / "saved_model"
            )
        known["unpruned"] = {
            "bytes": exported.bytes,
            "compressed_bytes": exported.compressed_bytes,
        }
        run.folder.merge_metrics({"artifacts": known})
    return known["unpruned"]


def _plots(
    run: Experiment,
    phase: str,
    sparsity: dict[str, Any],
    method: str | None,
    folder: RunFolder,
) -> dict[str, Any]:
    """Draws what the folder has plots of, and returns the record of that."""
    plots: dict[str, Any] = {}
    if phase != "pretrain":
        # What is finetuned alone was pruned elsewhere.
        pruned_here = list(run.epochs) != ["finetune"]
        plots["densities"] = plotting.plot_densities(
            folder,
            sparsity,
            run.title,
            run.pruning(method) if pruned_here else None,
        )
    curves = plotting.plot_learning_curves(folder, run.title)
    if curves is not None:
        plots["learning_curves"] = curves
    return plots


def _choice(
    run: Experiment, phase: str, method: str | None, density: float
) -> dict[str, Any]:
    """Returns how the weights were chosen, for `metrics.json`."""
    if list(run.epochs) == ["finetune"]:
        # That was decided where it starts from.
        return {"density": density}
    if phase == "pretrain":
        return {}
    return pruning_flags.as_flags(run.pruning(method).in_use())
