"""Evaluating the networks of `--source`.

```
metrics.json   networks: the figures of each; phases.evaluate: of a single one;
               sanity: what --sanity found, by network
examples.tsv   a row for every image and network
flags.txt      the settings, where the folder is not that of a training run
```
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from flags import evaluate_flags
from flags import evaluation_flags
from hydra_tf import evaluation
from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.evaluation import chance
from hydra_tf.progress import say
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.table import is_own
from trainers.evaluation import examples
from trainers.evaluation import measuring
from trainers.evaluation import source_list
from trainers.run import datasets
from trainers.run import finished_network
from trainers.run import networks
from trainers.run.finished_network import FinishedNetwork
from trainers.run.folder import RunFolder
from trainers.terminal import results
from trainers.training import own_parts
from trainers.training import settings

_PHASE = "evaluate"


def run() -> None:
    """Evaluates `--source` as the flags say, and shows what came of it."""
    parsed = settings.from_flags()
    info = parsed.data.info
    folder = RunFolder(parsed.run.output_dir)
    folder.check()
    if evaluate_flags.sanity_from_flags() and not parsed.evaluation.epsilon:
        raise InputError(
            "--sanity needs a radius above 0. Received: --eval_epsilon=0"
        )
    given = source_list.split(parsed.model.sources)
    sources = {
        name: finished_network.load(each, info)
        for name, each in zip(source_list.names(given), given, strict=True)
    }
    chosen = {name: _settings(each, parsed) for name, each in sources.items()}
    for name, each in sources.items():
        finished_network.say_radius(each, chosen[name].epsilon)
        own_parts.check_attacks(each.network, info.image_shape, chosen[name])
    images, labels = datasets.test_arrays(parsed.data, parsed.num_examples)
    folder.open()
    finished_network.write_flags(folder)
    if parsed.run.overwrite:
        measuring.forget(folder, _PHASE)
    measured, checks = {}, {}
    for number, (name, source) in enumerate(sources.items(), 1):
        count = f" ({number} of {len(sources)})" if len(sources) > 1 else ""
        say(
            f"evaluate: {source.path} on {len(labels)} images of {info.name}"
            f"{count}"
        )
        arguments: dict[str, Any] = {
            "network": source.network,
            "task": measuring.Task(
                images, labels, chosen[name], source.fingerprint
            ),
            "folder": folder,
            "phase": _PHASE,
            "progress": parsed.execution.progress,
        }
        measured[name] = measuring.measure_once(**arguments)
        if evaluate_flags.sanity_from_flags():
            checks[name] = measuring.check_once(**arguments)
    entries = {
        name: {
            "source": str(source.path),
            **measured[name].figures,
            **chance.record(measured[name].figures, labels, info.num_classes),
        }
        for name, source in sources.items()
    }
    sanity = {name: found["record"] for name, found in checks.items()}
    examples.write(folder.examples, measured)
    folder.merge_metrics(
        {
            "networks": entries,
            **_of_single(entries),
            **_of_folder(parsed, sources, entries, folder),
            **({"sanity": sanity} if sanity else {}),
        }
    )
    measuring.forget(folder, _PHASE)
    say(f"\n{results.table(_rows(sources, entries))}\n")
    say(results.conditions(len(labels), info.name, parsed.evaluation))
    for name, found in checks.items():
        say(f"\nSanity of {name}:\n\n{found['text']}\n")
    say(f"Every image:  {folder.examples}")
    say(f"All figures:  {folder.metrics}")


def _settings(
    source: FinishedNetwork, parsed: settings.Settings
) -> evaluation.EvaluationSettings:
    """Returns what is measured of a network, which is checked to suit it."""
    chosen = parsed.evaluation
    if source.is_saved_model and evaluation_flags.implies_proofs():
        # Nobody sees its layers, and nobody asked for bounds by name.
        chosen = dataclasses.replace(chosen, bounds=())
    if chosen.bounds:
        source.check_provable(f"--eval_certify={','.join(chosen.bounds)}")
    if any(
        not ATTACKS.entry(name).black_box
        for name in chosen.attacks
        # Nobody knows what a user's own needs; it is tried out.
        if not is_own(name)
    ):
        source.check_gradients(parsed.data.info)
    return chosen


def _of_single(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the entry of a single network, as the phases of a run have it."""
    if len(entries) > 1:
        return {}
    (figures,) = entries.values()
    figures = {key: figures[key] for key in figures if key != "source"}
    return {"phases": {_PHASE: {**figures, "epochs": 0, "seconds": 0.0}}}


def _of_folder(
    parsed: settings.Settings,
    sources: Mapping[str, FinishedNetwork],
    entries: Mapping[str, Mapping[str, Any]],
    folder: RunFolder,
) -> dict[str, Any]:
    """Returns what is said of a folder that is not that of a training run."""
    if finished_network.holds_training(folder):
        return {}
    each = list(sources.values())
    record = finished_network.record(parsed, parsed.data.info, each, folder)
    for key in ("attacks", "certification"):
        record[key] = {
            name: made
            for entry in entries.values()
            for name, made in entry.get(key, {}).items()
        }
    if len(each) == 1 and not each[0].is_saved_model:
        record["sparsity"] = networks.sparsity(each[0].network)
    return record


def _rows(
    sources: Mapping[str, FinishedNetwork],
    entries: Mapping[str, Mapping[str, Any]],
) -> list[results.Row]:
    """Returns the rows of the table on the screen."""
    return [
        (
            name,
            entries[name],
            {"bytes": files.directory_size(source.path)}
            if source.is_saved_model
            else {},
        )
        for name, source in sources.items()
    ]
