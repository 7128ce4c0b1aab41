"""The network that a binary starts from: `--source` or `--model`."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import hydra_tf.layers  # noqa: F401  Registers what .keras files hold.
from hydra_tf import files
from hydra_tf import models
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import check_ends_in_logits
from hydra_tf.attacks.suspicions import are_probabilities
from hydra_tf.errors import InputError
from hydra_tf.pruning import strip_masks
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import DatasetInfo
from hydra_tf.training.checkpoints import load_network
from trainers.run import folder as run_folder
from trainers.run import networks


def find(source: str, before: str | None = None) -> pathlib.Path:
    """Returns the file of a source.

    Args:
        source: A `.keras` file, or the folder of a run, of which the last
            finished phase is taken, or of an export with `--shrink`, or of a
            converted checkpoint.
        before: The phase that is to follow, if only those before it count.

    Raises:
        InputError: If there is no such network.
    """
    path = files.as_path(source)
    if files.is_dir(path):
        folder = run_folder.RunFolder(path)
        phase = folder.last_finished(before)
        if phase is None:
            for network in (folder.shrunk, folder.network):
                if network.is_file():
                    return network
            raise InputError(
                f"--source={source} holds no finished phase: there is no "
                "checkpoints/<phase>.keras in it"
            )
        return folder.finished(phase)
    if not files.is_file(path):
        raise InputError(
            f"--source={source} does not exist; give the folder of a run or a "
            ".keras file"
        )
    if path.suffix != ".keras":
        raise InputError(
            f"--source={source} is no .keras file; write one with "
            "model.save('name.keras')"
        )
    return path


def is_saved_model(path: pathlib.Path) -> bool:
    """Whether a folder is a SavedModel rather than a run."""
    if files.is_remote(path):
        # Not a mixture of two, where the second was killed.
        files.recover_directory(path)
    return files.is_file(path / "saved_model.pb")


def load_saved_model(
    path: pathlib.Path, info: DatasetInfo
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the function from images to logits of a SavedModel.

    Gradients pass through it.

    Args:
        path: Its folder.
        info: The data set.

    Raises:
        InputError: If it cannot be loaded, has other signatures, or does not
            take the images and know the classes.
    """
    try:
        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
        ((input_name, spec),) = serve.structured_input_signature[1].items()
        (output_name,) = serve.structured_outputs
    except Exception as error:
        raise InputError(
            f"--source={path} cannot be used: a SavedModel needs a signature "
            "serving_default from images to logits "
            f"({type(error).__name__}: {str(error)[:200]})"
        ) from error

    def serve_images(images):
        return serve(**{input_name: tf.cast(images, spec.dtype)})[output_name]

    def logits_of(images):
        logits = tf.cast(serve_images(images), tf.float32)
        # Attacks ask for the number of classes where a graph is built.
        return tf.ensure_shape(logits, (None, info.num_classes))

    _check_saved_model(serve_images, spec, path, info)
    # The signature does not keep the variables alive.
    logits_of.loaded = loaded  # type: ignore[attr-defined]
    return logits_of


def _check_saved_model(
    serve: Callable[[tf.Tensor], tf.Tensor],
    spec: tf.TensorSpec,
    path: pathlib.Path,
    info: DatasetInfo,
) -> None:
    """Raises `InputError` unless a SavedModel suits the data set."""
    if not spec.dtype.is_floating:
        raise InputError(
            f"--source={path} takes images of {spec.dtype.name}; it must take "
            "floats in [0, 1]: make what turns these into its own range a part "
            "of the network, and export it again"
        )
    size = spec.shape[0] if spec.shape.rank else None
    if size is not None:
        raise InputError(
            f"--source={path} takes {size} image(s) at a time; export it with "
            "a free batch size, as hydra_tf.export_saved_model does"
        )
    try:
        shape = serve(tf.zeros((2, *info.image_shape))).shape
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise InputError(
            f"--source={path} does not take batches of images of shape "
            f"{tuple(info.image_shape)}, those of --dataset={info.name}"
        ) from error
    if tuple(shape) != (2, info.num_classes):
        raise InputError(
            f"--source={path} has outputs of shape {tuple(shape[1:])}; "
            f"--dataset={info.name} has {info.num_classes} classes"
        )


def check_logits(
    network: Callable[..., Any], where: str, info: DatasetInfo
) -> None:
    """Checks by what a network returns that it is no probabilities.

    Args:
        network: The network.
        where: What to call it in a message, such as `--source=x.keras`.
        info: The data set.

    Raises:
        InputError: If they are probabilities.
    """
    images = np.random.default_rng(0).random((2, *info.image_shape), np.float32)
    logits = as_logits_function(network)(tf.constant(images)).numpy()
    if are_probabilities(logits):
        raise InputError(
            f"{where} returns probabilities; it must return logits, so leave "
            "its last softmax out"
        )


def check_gradients(
    network: Callable[..., Any], where: str, info: DatasetInfo
) -> None:
    """Checks that attacks can follow a network's gradients.

    Args:
        network: The network.
        where: What to call it in a message, such as `--source=x.keras`.
        info: The data set.

    Raises:
        InputError: If there are none.
    """
    images = tf.fill((1, *info.image_shape), 0.5)
    try:
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = as_logits_function(network)(images)
        found, reason = tape.gradient(logits, images) is not None, ""
    except LookupError as error:
        found, reason = False, f" ({str(error)[:200]})"
    if not found:
        raise InputError(
            f"{where} has no gradients from logits to images{reason}; give the "
            ".keras file, or attacks that need none, --eval_attacks=square"
        )


def load(path: pathlib.Path) -> keras.Model:
    """Loads a `.keras` file.

    Raises:
        InputError: If it cannot be read as a Keras model.
    """
    return load_network(
        path, f"--source={path}", "give another, or write it again"
    )


def load_or_create(
    path: pathlib.Path | None,
    name: str | None,
    info: DatasetInfo,
    seed: int,
    bounds_needed_by: str | None,
    *,
    normalize: bool = False,
) -> keras.Model:
    """Returns the network that a run starts from, ready to be trained.

    Args:
        path: The file of `--source`, or `None` for fresh weights.
        name: The value of `--model`.
        info: The data set.
        seed: Seed of fresh weights.
        bounds_needed_by: The flag for which its layers must have bounds, if
            there is one.
        normalize: Whether a fresh network begins with the normalisation of
            the data set's channels.

    Raises:
        InputError: If there is none, or it cannot be trained.
    """
    if path is not None:
        where = f"--source={path}"
        network = load(path)
        check(network, where, info, name)
    elif name is not None:
        where = f"--model={name}"
        keras.utils.set_random_seed(seed)
        try:
            network = models.create(name, info.image_shape, info.num_classes)
            if normalize:
                network = _normalized(network, info)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        check_ends_in_logits(network, where)
    else:
        raise InputError(
            "--model is required: a name of hydra_tf.models, or "
            "package.module:function"
        )
    if bounds_needed_by:
        networks.check_provable(network, where, bounds_needed_by)
    return network


def check(
    model: keras.Model, where: str, info: DatasetInfo, name: str | None
) -> None:
    """Checks that a network from a file fits the data and the flags.

    Args:
        model: The network, masked or not.
        where: What to call it in a message, such as `--source=x.keras`.
        info: The data set.
        name: The value of `--model`, or `None` for any architecture.

    Raises:
        InputError: If it does not fit.
    """
    if not isinstance(model.input_shape, tuple) or not isinstance(
        model.output_shape, tuple
    ):
        raise InputError(
            f"{where} has several inputs or outputs; it must map images to "
            "logits"
        )
    input_shape = tuple(model.input_shape[1:])
    if len(input_shape) != 3 or any(
        size not in (None, wanted)
        for size, wanted in zip(input_shape, info.image_shape, strict=True)
    ):
        raise InputError(
            f"{where} takes images of shape {input_shape}; those of "
            f"--dataset={info.name} are {tuple(info.image_shape)}"
        )
    output_shape = tuple(model.output_shape[1:])
    if output_shape != (info.num_classes,):
        raise InputError(
            f"{where} has outputs of shape {output_shape}; --dataset="
            f"{info.name} has {info.num_classes} classes"
        )
    check_ends_in_logits(model, where)
    if name is not None:
        _check_architecture(model, where, info, name)


def _check_architecture(
    model: keras.Model, where: str, info: DatasetInfo, name: str
) -> None:
    """Compares the weights' shapes with those of the named architecture."""
    wanted = models.create(name, info.image_shape, info.num_classes)
    plain = strip_masks(model)
    shapes = [tuple(weight.shape) for weight in plain.weights]
    wanted_shapes = [tuple(weight.shape) for weight in wanted.weights]
    if shapes == wanted_shapes:
        return
    if len(shapes) != len(wanted_shapes):
        difference = (
            f"it has {len(shapes)} weight arrays instead of "
            f"{len(wanted_shapes)}"
        )
    else:
        index = next(
            index
            for index, pair in enumerate(
                zip(shapes, wanted_shapes, strict=True)
            )
            if pair[0] != pair[1]
        )
        difference = (
            f"{wanted.weights[index].path} is {shapes[index]} instead of "
            f"{wanted_shapes[index]}"
        )
    raise InputError(
        f"{where} is another architecture than --model={name}: {difference}"
    )


def _normalized(network: keras.Model, info: DatasetInfo) -> keras.Model:
    """Returns a network that normalises images as a data set's need it."""
    if info.mean is None or info.deviation is None:
        known = [
            row.name
            for row in DATASETS
            if isinstance(row, DatasetInfo) and row.mean is not None
        ]
        raise InputError(
            f"--normalize: mean and deviation of {info.name} are not known, "
            f"those of {', '.join(known)} are; leave it out, or begin the "
            "network with keras.layers.Normalization"
        )
    return models.normalized(network, info.mean, info.deviation)


def fingerprint(path: pathlib.Path) -> str:
    """Returns a digest of the file's content, to recognise it by."""
    digest = hashlib.sha256()
    with files.naming(path, "read"), path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]
