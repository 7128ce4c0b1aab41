"""Finding the splits of TensorFlow Datasets datasets, and reading them.

Finds or prepares the dataset and returns a split's encoded images and labels,
or where its files are. Whatever is wrong with the dataset's name, folder, files
or download becomes an `InputError` of one line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import re
import tempfile
import urllib.parse
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from hydra_tf.data import by_name
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches

# Written last by TFDS, so the sign of a dataset that is complete.
_INFO_FILE = "dataset_info.json"
_CONNECT_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class EncodedSplit:
    """A split as it is stored.

    Attributes:
        images: Object array of encoded images (bytes), one per example.
        labels: int32 array.
        class_names: One name per class.
        decode: Graph function from one encoded image to its uint8 pixels.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    decode: Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Examples that lie together in a file of records.

    Attributes:
        path: The file.
        skip: Number of records before them.
        count: Number of examples.
    """

    path: str
    skip: int
    count: int


@dataclasses.dataclass(frozen=True)
class SplitFiles:
    """A split that stays in its files.

    Attributes:
        shards: The files in their order, none of them empty.
        class_names: One name per class.
        parse: Graph function from a record to its encoded image and label.
    """

    shards: tuple[Shard, ...]
    class_names: tuple[str, ...]
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def read_split(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> EncodedSplit:
    """Returns all examples of a split in the order of the files.

    Args:
        name: One of `hydra_tf.data.names()`.
        split: A split of the dataset, or a part of one (`"train[:90%]"`).
        data_dir: Folder of TFDS datasets. None is TFDS's own default.
        download: Whether a dataset that is not in `data_dir` may be fetched.

    Raises:
        InputError: If the dataset or the split is unknown, or if the dataset
            is not in `data_dir` and cannot be put there.
    """
    builder = _open_split(name, split, data_dir, download)
    images, labels = _read(builder, split)
    features = builder.info.features
    image_key, label_key = builder.info.supervised_keys
    return EncodedSplit(
        images=images,
        labels=labels,
        class_names=tuple(features[label_key].names),
        decode=features[image_key].decode_example,
    )


def find_files(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> SplitFiles:
    """Returns where the examples of a split are.

    Args:
        name: One of `hydra_tf.data.names()`.
        split: A split of the dataset, or a part of one (`"train[:90%]"`).
        data_dir: Folder of TFDS datasets. None is TFDS's own default.
        download: Whether a dataset that is not in `data_dir` may be fetched.

    Raises:
        InputError: As `read_split`, or if the files are not of the usual kind.
    """
    import tensorflow_datasets as tfds

    builder = _open_split(name, split, data_dir, download)
    file_format = builder.info.file_format
    if file_format != tfds.core.FileFormat.TFRECORD:
        raise InputError(
            f"`data_dir` must hold {name!r} as files of TFRecords: prepare it "
            "again with `tfds build --file_format=tfrecord`. Received: "
            f"{file_format.value} in {builder.data_dir}"
        )
    features = builder.info.features
    image_key, label_key = builder.info.supervised_keys
    encoded = {image_key: tfds.decode.SkipDecoding()}

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = features.deserialize_example(record, decoders=encoded)
        return example[image_key], example[label_key]

    return SplitFiles(
        shards=tuple(
            Shard(os.fspath(each.filename), each.skip, each.take)
            for each in builder.info.splits[split].file_instructions
            if each.take
        ),
        class_names=tuple(features[label_key].names),
        parse=parse,
    )


def _open_split(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None,
    download: bool,
) -> Any:
    """Returns a builder of the right images that has the split."""
    info = by_name.info(name)
    builder = _open(name, data_dir, download)
    _check_split(builder, split)
    features = builder.info.features
    image_key, label_key = builder.info.supervised_keys
    *size, channels = info.image_shape
    expected = (None, None, channels) if info.streamed else (*size, channels)
    if (
        tuple(features[image_key].shape) != expected
        or features[label_key].num_classes != info.num_classes
    ):
        raise InputError(
            f"`data_dir` holds another dataset under the name {name!r}: its "
            f"images are {tuple(features[image_key].shape)} in "
            f"{features[label_key].num_classes} classes, expected "
            f"{expected} in {info.num_classes}. "
            f"Received: data_dir={builder.data_dir}"
        )
    return builder


def _open(
    name: str, data_dir: str | os.PathLike[str] | None, download: bool
) -> Any:
    """Returns a builder whose data is prepared."""
    import tensorflow_datasets as tfds

    root = None if not data_dir else os.path.expanduser(os.fspath(data_dir))
    own = by_name.info(name).load()
    make: Callable[..., Any] = own or functools.partial(tfds.builder, name)
    builder = make(data_dir=root)
    if _is_prepared(builder):
        return builder
    if own is not None:
        _prepare_quietly(builder)
    else:
        _download(builder, download)
    # A fresh builder reads what lies there now, whoever put it there.
    return make(data_dir=root)


def _is_prepared(builder: Any) -> bool:
    return (pathlib.Path(builder.data_dir) / _INFO_FILE).exists()


def _prepare_quietly(builder: Any) -> None:
    """Writes a dataset that needs no download, in silence.

    TFDS writes into a folder of its own and renames it at the end. When two
    processes prepare at once the second rename fails, and the data is there.
    """
    logging.info(
        "Preparing the dataset %s in %s", builder.name, builder.data_dir
    )
    silence = io.StringIO()
    try:
        with (
            tempfile.TemporaryDirectory() as downloads,
            # TFDS prints, and draws progress bars for less than a second.
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
        ):
            builder.download_and_prepare(download_dir=downloads)
    except (OSError, tf.errors.OpError) as error:
        if _is_prepared(builder):
            return
        raise InputError(
            f"`data_dir` must be a folder that the dataset {builder.name!r} "
            f"can be written to: {_first_line(error)}. "
            f"Received: data_dir={_root(builder)}"
        ) from error


def _download(builder: Any, download: bool) -> None:
    """Lets TFDS fetch and write the dataset."""
    root = _root(builder)
    received = f"Received: data_dir={root}"
    absent = f"`data_dir` holds no prepared dataset {builder.name!r}"
    for inside in (root, root.parent):
        if inside.name == builder.name and inside.is_dir():
            raise InputError(
                f"{absent}: it must be the folder around {inside}. {received}"
            )
    if not root.is_dir():
        received += " (no such folder)"
    by_hand = builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    command = f"tfds build {builder.name} --data_dir={root}"
    if by_hand:
        command += " --manual_dir=..."
    absent += (
        f": expected the folder {builder.data_dir}, which `{command}` makes"
    )
    if by_hand:
        # TFDS's words, on one line: which files, from where.
        words = " ".join(by_hand.split()).rstrip(".")
        raise InputError(
            f"{absent} from files that have to be downloaded by hand: {words}. "
            f"{received}"
        )
    if not download:
        raise InputError(f"{absent}; `download` is False. {received}")
    try:
        _check_reachable(builder)
        builder.download_and_prepare()
    except Exception as error:  # Anything may go wrong in foreign code.
        if _is_prepared(builder):
            return
        raise InputError(
            f"{absent}; downloading it failed: {_first_line(error)}. {received}"
        ) from error


def _check_reachable(builder: Any) -> None:
    """Fails fast when a host does not answer; TFDS would retry for minutes."""
    import requests

    urls = {
        urllib.parse.urlsplit(url).hostname: url
        for url in (builder.url_infos or {})
        if url.startswith("http")
    }
    for host, url in urls.items():
        try:
            # Any answer will do, and its body is never read.
            requests.get(url, stream=True, timeout=_CONNECT_SECONDS).close()
        except requests.RequestException as error:
            raise OSError(f"no answer from {host}") from error


def _root(builder: Any) -> pathlib.Path:
    """Returns the `data_dir` that the builder's data belongs in."""
    # The builder's own folder is <data_dir>/<name>/<version>.
    return pathlib.Path(builder.data_dir).parents[1]


def _check_split(builder: Any, split: str) -> None:
    try:
        num_examples = builder.info.splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        known = list(builder.info.splits)
        base = split.partition("[")[0]
        if base in known:
            words = f"{_first_line(error)}."
        else:
            words = close_matches(base, known)
        raise InputError(
            f"`split` must be a split of {builder.name}. {words} "
            f"Received: split={split!r}"
        ) from error
    if not num_examples:
        raise InputError(
            f"`split` must hold at least one example. Received: split={split!r}"
        )


def _read(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow_datasets as tfds

    image_key, label_key = builder.info.supervised_keys
    dataset = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders={image_key: tfds.decode.SkipDecoding()},
        # One file after the other: the order must not depend on timing.
        read_config=tfds.ReadConfig(
            interleave_cycle_length=1, try_autocache=False
        ),
    )
    dataset = dataset.map(
        lambda example: (example[image_key], example[label_key])
    )
    images, labels = [], []
    try:
        for image_batch, label_batch in dataset.batch(4096):
            images.append(image_batch.numpy())
            labels.append(label_batch.numpy())
    except tf.errors.OpError as error:
        raise unreadable(builder.name, builder.data_dir, error) from error
    return np.concatenate(images), np.concatenate(labels).astype(np.int32)


def unreadable(
    name: str, folder: str | os.PathLike[str], error: BaseException
) -> InputError:
    """Returns the error of files that are there and cannot be read.

    Args:
        name: Name of the dataset.
        folder: Its own folder, in `data_dir`.
        error: What TensorFlow says.
    """
    return InputError(
        f"`data_dir` holds files of {name!r} that cannot be read "
        f"({_first_line(error)}): delete {os.fspath(folder)} and prepare it "
        f"again. Received: data_dir={pathlib.Path(folder).parents[1]}"
    )


def _first_line(error: BaseException) -> str:
    """Returns what an exception says, without TensorFlow's node names."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip()
    lines = text.splitlines()
    return (lines[0] if lines else type(error).__name__).strip().rstrip(".")
