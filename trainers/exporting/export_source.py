"""Exporting the network of `--source`: a SavedModel, and other formats."""

from __future__ import annotations

from typing import Any

from flags import export_flags
from hydra_tf import export
from hydra_tf.progress import say
from trainers.exporting import formats
from trainers.exporting import shrunk
from trainers.model_card import card as model_card
from trainers.run import finished_network
from trainers.run import networks
from trainers.run.folder import RunFolder
from trainers.training import settings


def run() -> None:
    """Exports `--source`, with `--shrink` a smaller network."""
    parsed = settings.from_flags()
    changes = export_flags.export_from_flags()
    info = parsed.data.info
    source = finished_network.load_keras(parsed.model.source, info)
    folder = RunFolder(parsed.run.output_dir)
    formats.check(parsed, changes, folder)
    network, savings, smaller_file = source.network, None, None
    if changes.shrink:
        network, savings = shrunk.shrink(
            network, f"--source={source.path}", changes
        )
    source_name = f"--source={source.path}"
    if set(changes.formats) - {"saved_model", "serving"}:
        finished_network.say_radius(source, parsed.evaluation.epsilon)
    # What cannot be read or converted is known before anything is replaced.
    made = formats.make(network, parsed, changes, source_name)
    folder.open()
    finished_network.write_flags(folder)
    exported = export.export_saved_model(network, folder.saved_model)
    if savings is not None:
        smaller_file = shrunk.write(network, folder.shrunk)
    else:
        # An export without --shrink replaces what an earlier one with it wrote.
        folder.shrunk.unlink(missing_ok=True)
    record: dict[str, Any] = {
        "sparsity": networks.sparsity(source.network),
        "shrink": savings,
        "artifacts": {
            "saved_model": {
                **exported.to_dict(),
                "path": folder.saved_model.name,
            },
            "shrunk": smaller_file,
        },
    }
    record["formats"] = formats.write(
        made,
        network,
        parsed,
        changes,
        folder,
        record["artifacts"]["saved_model"],
    )
    if "serving" in changes.formats:
        record["artifacts"]["serving"] = formats.write_serving(
            made, network, parsed, changes, folder
        )
    if not finished_network.holds_training(folder):
        record |= finished_network.record(parsed, info, [source], folder)
    model_card.write(folder.path, folder.merge_metrics(record))
    say(f"SavedModel: {folder.saved_model}")
