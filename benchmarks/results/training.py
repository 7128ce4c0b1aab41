"""Training and measuring a cell, in a process that does several."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import json
import os
import pathlib
import shutil
import time
from typing import Any

import keras
import numpy as np

import hydra_tf as ht
from benchmarks.results import methods
from benchmarks.results import studies
from benchmarks.results.place import Place
from benchmarks.results.rows import CHANCE
from benchmarks.results.rows import NOT_PRETRAINED
from benchmarks.results.rows import Cell
from benchmarks.results.rows import Row
from hydra_tf.data.selection import spread_order
from hydra_tf.errors import DivergedError

_BATCH_SIZE = 128
# Of initial weights, where pretraining stays at chance.
_ATTEMPTS = 5
# Of epochs on clean images: 0.2 diverges for some seeds.
_NATURAL_RATE = 0.05


def run(
    cell: Cell, place: Place, commit: str, num_test: int | None = None
) -> Row:
    """Returns the row of a cell.

    Args:
        cell: What to train and measure.
        place: Where images come from and networks are kept.
        commit: The code's.
        num_test: Number of test images, by default the study's.
    """
    keras.backend.clear_session()
    gc.collect()
    study = studies.STUDIES[cell.study]
    method = methods.of_study(study).get(cell.method)
    started, note, kept = time.process_time(), "", 1.0
    try:
        network = _pretrained(cell, study, place)
        started = time.process_time()
        if method is not None:
            network = _pruned(network, method, cell, study, place)
        kept = _density(network)
    except _NotPretrainedError:
        note = NOT_PRETRAINED
    except DivergedError:
        note = "diverged"
    trained = time.process_time()
    natural, robust, count = 0.0, {"all": 0.0}, 0
    if not note:
        images, labels = _test_images(cell, study, place, num_test)
        natural, robust, count = _measure(network, images, labels, cell, study)
    return Row(
        **dataclasses.asdict(cell),
        kept=round(kept, 6),
        train_seconds=round(trained - started, 1),
        measure_seconds=round(time.process_time() - trained, 1),
        natural=round(natural, 4),
        robust=json.dumps(
            {name: round(each, 4) for name, each in robust.items()}
        ),
        images=count,
        commit=commit,
        note=note,
    )


# --- images -------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def _loaded(dataset: str, split: str, data_dir: str | None) -> Any:
    return ht.data.load(
        dataset, split, batch_size=_BATCH_SIZE, data_dir=data_dir
    )


def _train_images(cell: Cell, study: studies.Study, place: Place) -> Any:
    """Returns the images that a cell trains on, as a pipeline."""
    train = _loaded(study.dataset, "train", place.data_dir)
    train = train.subset(np.arange(len(train)))
    train.seed = cell.seed
    if cell.purpose == "final":
        return train
    return train.subset(fold(train.known_labels(), cell.seed)[0])


def _test_images(
    cell: Cell, study: studies.Study, place: Place, num_test: int | None
) -> Any:
    """Returns the images that a cell is measured on, and their labels."""
    if cell.purpose == "final":
        test = _loaded(study.dataset, "test", place.data_dir)
        return test.arrays(num_test or study.num_test[cell.network])
    train = _loaded(study.dataset, "train", place.data_dir)
    held_out = fold(train.known_labels(), cell.seed)[1]
    return train.subset(held_out, training=False).arrays(study.num_validation)


def fold(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows to train on and those that a seed holds out.

    Args:
        labels: Integer array of shape `(n,)`.
        seed: Seeds take turns with `FOLDS` parts.
    """
    # Runs of this order have the classes' shares; every n-th of it has not.
    parts = np.array_split(spread_order(labels, 0), studies.FOLDS)
    held_out = parts.pop(seed % studies.FOLDS)
    return np.sort(np.concatenate(parts)), np.sort(held_out)


# --- training -----------------------------------------------------------------


def _objective(cell: Cell, study: studies.Study) -> Any:
    settings: dict[str, Any] = dict(study.objectives[cell.objective])
    epsilon = study.epsilon if cell.radius is None else cell.radius
    if "step_size" in settings:
        settings["step_size"] *= epsilon / study.epsilon
    name = settings.pop("name", cell.objective)
    return ht.objectives.create(name, epsilon=epsilon, **settings)


class _NotPretrainedError(Exception):
    """Pretraining stays at chance, whatever the initial weights."""


def _pretrained(cell: Cell, study: studies.Study, place: Place) -> Any:
    """Returns the pretrained network of a cell, or a fresh one.

    Raises:
        _NotPretrainedError: If there is none.
    """
    file = place.pretrained(cell)
    if not cell.phases[0]:
        return _fresh(cell, study, 0)
    if file.exists():
        return keras.models.load_model(file)
    train = _train_images(cell, study, place)
    images, labels = train.subset(np.arange(1000), training=False).arrays()
    for attempt in range(_ATTEMPTS):
        network = _fresh(cell, study, attempt)
        with contextlib.suppress(DivergedError):
            network = ht.training.run_phase(
                network,
                "pretrain",
                train,
                _objective(cell, study),
                epochs=cell.phases[0],
                learning_rate=study.pretrain_rate,
                weight_decay=study.weight_decay,
                seed=cell.seed,
                precision=study.precision,
                steps_per_execution=_steps_per_call(train),
                folder=_folder(cell, study, place, f"pretrain{attempt}"),
            )
            classes = np.argmax(network.predict(images, verbose=0), axis=1)
            if np.mean(classes == labels) > CHANCE:
                break
    else:
        _forget(cell, place)
        raise _NotPretrainedError
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"partial-{os.getpid()}-{file.name}")
    network.save(partial)
    partial.replace(file)
    _forget(cell, place)
    return network


def _fresh(cell: Cell, study: studies.Study, attempt: int) -> Any:
    keras.utils.set_random_seed(cell.seed + 1000 * attempt)
    return ht.models.create(cell.network, study.image_shape, 10)


def _pruned(
    network: Any,
    method: methods.Method,
    cell: Cell,
    study: studies.Study,
    place: Place,
) -> Any:
    """Returns the network of a cell, pruned and finetuned."""
    train = _train_images(cell, study, place)
    _, prune_epochs, finetune_epochs = cell.phases
    settings = {**method.settings, **cell.arguments}
    if method.name == methods.TFMOT:
        return _pruned_by_tfmot(network, settings, cell, study, train)
    if method.natural_epochs:
        network = ht.training.run_phase(
            network,
            "pretrain",
            train,
            ht.objectives.create("natural"),
            epochs=method.natural_epochs,
            learning_rate=_NATURAL_RATE,
            weight_decay=study.weight_decay,
            seed=cell.seed,
            precision=study.precision,
            steps_per_execution=_steps_per_call(train),
            folder=_folder(cell, study, place, "natural"),
        )
    pruned = ht.prune(
        network,
        train,
        _objective(cell, study),
        cell.density,
        method=method.library_name,
        prune_epochs=prune_epochs - method.natural_epochs,
        finetune_epochs=finetune_epochs,
        seed=cell.seed,
        weight_decay=study.weight_decay,
        precision=study.precision,
        steps_per_execution=_steps_per_call(train),
        folder=_folder(cell, study, place, "pruned"),
        **settings,
    ).network
    _forget(cell, place)
    return pruned


def _pruned_by_tfmot(
    network: Any,
    settings: dict[str, Any],
    cell: Cell,
    study: studies.Study,
    train: Any,
) -> Any:
    from benchmarks import tfmot_peer

    _, prune_epochs, finetune_epochs = cell.phases
    epochs = prune_epochs + finetune_epochs
    rate = ht.training.CosineRate(
        settings["finetune_learning_rate"], epochs, train.steps_per_epoch
    )
    return tfmot_peer.prune(
        network,
        _objective(cell, study),
        train,
        density=cell.density,
        allocation=settings["allocation"],
        ramp_epochs=prune_epochs,
        epochs=epochs,
        optimizer=ht.training.SGD(
            rate, momentum=0.9, weight_decay=study.weight_decay
        ),
        seed=cell.seed,
    )


def _steps_per_call(train: Any) -> int:
    """Returns how many steps a call takes: a divisor of those of an epoch."""
    steps = train.steps_per_epoch
    return max(n for n in range(1, 33) if steps % n == 0)


def _folder(
    cell: Cell, study: studies.Study, place: Place, part: str
) -> pathlib.Path | None:
    """Returns the folder in which a phase is kept until the cell is done."""
    if not study.keeps_epochs:
        return None
    return place.unfinished(cell) / part


def _forget(cell: Cell, place: Place) -> None:
    shutil.rmtree(place.unfinished(cell), ignore_errors=True)


# --- measuring ----------------------------------------------------------------


def _measure(
    network: Any, images: Any, labels: Any, cell: Cell, study: studies.Study
) -> tuple[float, dict[str, float], int]:
    """Returns natural and robust accuracy, and of how many images."""
    measured = ht.evaluation.evaluate(
        network,
        images,
        labels,
        epsilon=study.epsilon,
        **studies.MEASURED_BY[cell.purpose],
    )
    withstood = np.all(list(measured.withstood.values()), axis=0)
    robust = {**measured.robust_accuracy, "all": float(np.mean(withstood))}
    return float(measured.natural_accuracy), robust, len(labels)


def _density(network: Any) -> float:
    """Returns the fraction of the prunable weights that are not zero."""
    kernels = [
        layer.kernel.numpy()
        for layer in network.layers
        if hasattr(layer, "kernel")
    ]
    kept = sum(np.count_nonzero(kernel) for kernel in kernels)
    return float(kept / sum(kernel.size for kernel in kernels))
