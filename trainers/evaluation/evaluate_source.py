"""Evaluating the network of `--source`."""

from __future__ import annotations

import dataclasses
from typing import Any

from flags import evaluation_flags
from hydra_tf import files
from hydra_tf.evaluation import chance
from hydra_tf.progress import say
from trainers.evaluation import measuring
from trainers.run import datasets
from trainers.run import finished_network
from trainers.run import networks
from trainers.run.folder import RunFolder
from trainers.terminal import results
from trainers.training import own_parts
from trainers.training import settings

_PHASE = "evaluate"


def run() -> None:
    """Evaluates `--source` as the flags say, and shows what came of it."""
    parsed = settings.from_flags()
    info = parsed.data.info
    source = finished_network.load(parsed.model.source, info)
    chosen = parsed.evaluation
    if source.is_saved_model and evaluation_flags.implies_proofs():
        # Nobody sees its layers, and nobody asked for bounds by name.
        chosen = dataclasses.replace(chosen, bounds=())
    if chosen.bounds:
        source.check_provable(f"--eval_certify={','.join(chosen.bounds)}")
    own_parts.check_attacks(source.network, info.image_shape, chosen)
    images, labels = datasets.test_arrays(parsed.data, parsed.num_examples)
    folder = RunFolder(parsed.run.output_dir)
    folder.open()
    finished_network.write_flags(folder)
    say(f"evaluate: {source.path} on {len(labels)} images of {info.name}")
    result = measuring.measure(
        source.network,
        images,
        labels,
        chosen,
        folder=folder,
        phase=_PHASE,
        checkpoint=source.fingerprint,
        progress=parsed.execution.progress,
    )
    phase = {
        **result.to_dict(),
        **chance.record(result.to_dict(), labels, info.num_classes),
        "epochs": 0,
        "seconds": 0.0,
    }
    record: dict[str, Any] = {"phases": {_PHASE: phase}}
    if not finished_network.holds_training(folder):
        record |= finished_network.record(parsed, info, source, folder)
        record["attacks"] = result.attacks
        record["certification"] = result.certification
        if not source.is_saved_model:
            record["sparsity"] = networks.sparsity(source.network)
    folder.merge_metrics(record)
    size = {}
    if source.is_saved_model:
        size["bytes"] = files.directory_size(source.path)
    say(f"\n{results.table([(source.path.name, phase, size)])}\n")
    say(f"All figures: {folder.metrics}")
