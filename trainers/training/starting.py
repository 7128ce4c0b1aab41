"""What a run starts from, and whether it can, before hours of training."""

from __future__ import annotations

import math
import pathlib
import warnings
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import keras

from hydra_tf import files
from hydra_tf.data import DatasetInfo
from hydra_tf.errors import InputError
from hydra_tf.ops import kept_count
from hydra_tf.progress import say
from hydra_tf.pruning import Pruning
from trainers.run import networks
from trainers.run import source
from trainers.terminal import startup
from trainers.terminal.messages import in_flags
from trainers.training.settings import Settings


def find_source(settings: Settings, phase: str | None) -> pathlib.Path | None:
    """Returns the file of `--source`, if given.

    Args:
        settings: What the flags say.
        phase: The only phase of the run; `None` if it has several.

    Raises:
        InputError: If there is no such network, or `--overwrite` would remove
            it.
    """
    name = settings.model.source
    if not name:
        return None
    output = files.as_path(settings.run.output_dir).resolve()
    # A folder may take in one phase after the other.
    same = files.as_path(name).resolve() == output
    path = source.find(name, before=phase if same else None)
    if settings.run.overwrite and output in path.resolve().parents:
        raise InputError(
            f"--overwrite would remove --source={name}; name another "
            "--output_dir"
        )
    return path


def make_network(
    settings: Settings,
    phases: Iterable[str],
    path: pathlib.Path | None,
    info: DatasetInfo,
) -> keras.Model:
    """Returns the network of `--source`, or of `--model` with fresh weights.

    Args:
        settings: What the flags say.
        phases: The phases of the run.
        path: What `find_source` returned.
        info: The data set.

    Raises:
        InputError: If there is none, or it cannot be trained.
    """
    return source.load_or_create(
        path,
        settings.model.model,
        info,
        settings.seed,
        settings.bounds_needed_by(phases),
        normalize=settings.model.normalize,
    )


def check_batches(settings: Settings, info: DatasetInfo, replicas: int) -> None:
    """Checks that the training images make up batches for all devices.

    Args:
        settings: What the flags say.
        info: The data set.
        replicas: Number of devices.

    Raises:
        InputError: If they don't.
    """
    batch_size = settings.data.batch_size
    if batch_size % replicas:
        raise InputError(
            f"--batch_size={batch_size} must be a multiple of {replicas}, "
            "the number of devices"
        )
    labelled = settings.data.labelled_batch_size
    num_train = kept_count(settings.data.fraction, info.num_train)
    held_out = settings.validation.fraction
    if held_out:
        whole = num_train
        num_train -= kept_count(held_out, whole)
        if num_train < labelled:
            raise InputError(
                f"--validation_fraction={held_out:g} of {whole} images leaves "
                f"{num_train} to train on, less than --batch_size={labelled};"
                " lower one of them"
            )
    steps = max(math.floor(num_train / labelled), 1)
    if replicas == 1:
        steps = math.ceil(num_train / labelled)
    settings.execution.check_steps(steps)


def check_prunable(
    network: keras.Model,
    path: pathlib.Path | None,
    epochs: Mapping[str, int],
    methods: Sequence[Pruning],
) -> None:
    """Checks that a network has the masks it needs, or can get them.

    Args:
        network: The network that the run starts from.
        path: What `find_source` returned.
        epochs: The phases of the run, each with its epochs.
        methods: Each method that is to prune it.

    Raises:
        InputError: If it cannot be pruned so.
    """
    if next(iter(epochs)) == "finetune" and not networks.is_masked(network):
        raise InputError(
            f"--source={path} holds a network without masks; "
            f"prune it first with `{startup.program('prune')}`, or train "
            f"all its weights with `{startup.program('pretrain')}`"
        )
    if "prune" not in epochs:
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for pruning in {_kind(one): one for one in methods}.values():
            pruning.check(network)
    notes = (str(w.message) for w in caught if w.category is UserWarning)
    for note in dict.fromkeys(notes):
        say(in_flags(note))


def _kind(pruning: Pruning) -> object:
    """Returns what of a method decides if it can prune a network."""
    if pruning.entry.is_course:
        return pruning.method
    return pruning.learns_densities
