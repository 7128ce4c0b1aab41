"""What is done with a finished network: measuring it, exporting it."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from flags import evaluation_flags
from flags import export_flags
from hydra_tf import evaluation
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers import shrunk_export
from trainers import startup
from trainers.model_card import card as model_card
from trainers.run import datasets
from trainers.run import environment
from trainers.run import networks
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder
from trainers.terminal import results
from trainers.training import settings


def evaluate() -> None:
    """Evaluates `--source` as the flags say."""
    parsed = settings.from_flags()
    info = datasets.info(parsed.data.dataset)
    path = _source_path(parsed)
    saved = source.is_saved_model(path)
    folder = RunFolder(parsed.run.output_dir)
    if saved:
        network = source.load_saved_model(path)
        size = {"bytes": files.directory_size(path)}
        source.check_saved_model(network, path, info)
        parsed = _without_bounds(parsed)
    else:
        network, path = _load(parsed, info)
        proofs = parsed.evaluation.bounds
        if proofs:
            networks.check_provable(
                network,
                f"--source={path}",
                f"--eval_certify={','.join(proofs)}",
            )
        size = {}
    folder.open()
    _write_flags(folder)
    images, labels = datasets.test_arrays(
        parsed.data.dataset,
        parsed.data.data_dir,
        parsed.num_examples,
    )
    say(f"evaluate: {path} on {len(labels)} images of {info.name}")
    result = evaluation.evaluate(
        network if saved else networks.stripped(network),
        images,
        labels,
        parsed.evaluation,
        progress=parsed.execution.progress,
    )
    phase = {
        **result.to_dict(),
        "epochs": 0,
        "seconds": 0.0,
    }
    record: dict[str, Any] = {"phases": {"evaluate": phase}}
    if not _holds_training(folder):
        record |= _common(parsed, info, path, folder)
        record["attacks"] = result.attacks
        record["certification"] = result.certification
        if not saved:
            record["sparsity"] = networks.sparsity(network)
    folder.merge_metrics(record)
    rows = [(path.name, phase, size)]
    say(f"\n{results.table(rows)}\n")
    say(f"All figures: {folder.metrics}")


def export() -> None:
    """Exports `--source` as a SavedModel, with `--shrink` a smaller one."""
    parsed = settings.from_flags()
    changes = export_flags.export_from_flags()
    info = datasets.info(parsed.data.dataset)
    network, path = _load(parsed, info)
    folder = RunFolder(parsed.run.output_dir)
    exported_network, shrunk = network, None
    if changes.shrink:
        exported_network, shrunk = shrunk_export.shrink(
            network, f"--source={path}", changes
        )
    folder.open()
    _write_flags(folder)
    exported = networks.write_saved_model(exported_network, folder.saved_model)
    # An export without --shrink replaces what an earlier one with it wrote.
    smaller_file = None
    if shrunk is not None:
        smaller_file = shrunk_export.write(exported_network, folder.shrunk)
    else:
        folder.shrunk.unlink(missing_ok=True)
    metrics = folder.merge_metrics(
        {
            **(
                {}
                if _holds_training(folder)
                else _common(parsed, info, path, folder)
            ),
            "sparsity": networks.sparsity(network),
            "shrink": shrunk,
            "artifacts": {
                "saved_model": {
                    **exported.to_dict(),
                    "path": folder.saved_model.name,
                },
                "shrunk": smaller_file,
            },
        }
    )
    model_card.write(folder.path, metrics)
    say(f"SavedModel: {folder.saved_model}")


def _without_bounds(parsed: settings.Settings) -> settings.Settings:
    """Returns the settings for a SavedModel, whose layers nobody sees.

    Raises:
        InputError: If bounds were asked for by name.
    """
    chosen = parsed.evaluation
    if chosen.bounds and not evaluation_flags.implies_proofs():
        raise InputError(
            f"--source={parsed.model.source} is a SavedModel, and "
            f"--eval_certify={','.join(chosen.bounds)} needs the layers of a "
            "Keras model: give the folder of the run or its .keras file"
        )
    return dataclasses.replace(
        parsed, evaluation=dataclasses.replace(chosen, bounds=())
    )


def _source_path(parsed: settings.Settings) -> pathlib.Path:
    """Returns the path that `--source` gives."""
    if parsed.model.source is None:
        raise InputError(
            "--source is required: the folder of a run, or a .keras file"
        )
    return pathlib.Path(parsed.model.source).expanduser()


def _load(parsed: settings.Settings, info) -> tuple[Any, pathlib.Path]:
    """Returns the Keras network of `--source`, and its file."""
    path = source.find(str(_source_path(parsed)))
    network = source.load(path)
    # A recipe's --model must not stand in the way of another network.
    source.check(network, f"--source={path}", info, None)
    return network, path


def _holds_training(folder: RunFolder) -> bool:
    """Whether a folder is that of a training run, whose record must stay."""
    return folder.last_finished() is not None


def _write_flags(folder: RunFolder) -> None:
    if _holds_training(folder):
        return
    files.write_text(folder.flagfile, as_flagfile(environment.command()))


def _common(parsed, info, path, folder) -> dict[str, Any]:
    """Returns the parts of `metrics.json` that are the same for both."""
    return {
        "run": {
            "name": folder.path.resolve().name,
            "command": environment.command(),
            "binary": startup.name(),
            "source": str(path),
            "seed": parsed.seed,
        },
        "environment": environment.describe(),
        "dataset": {
            "name": info.name,
            "image_shape": list(info.image_shape),
            "num_classes": info.num_classes,
            "num_test": info.num_test,
        },
    }
