"""Finding the splits of TensorFlow Datasets datasets, and reading them.

Finds or prepares the dataset and returns a split's encoded images and labels,
or where its files are. Whatever is wrong with the dataset's name, folder, files
or download becomes an `InputError` of one line.
"""

from __future__ import annotations

import contextlib
import difflib
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

from hydra_tf import files
from hydra_tf.data.stored import Shard
from hydra_tf.data.stored import SplitFiles
from hydra_tf.data.stored import StoredSplit
from hydra_tf.errors import InputError
from hydra_tf.errors import close_matches
from hydra_tf.files.remote import RemotePath
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import TFDS
from hydra_tf.registry.datasets import DatasetInfo

# Written last by TFDS, so the sign of a dataset that is complete.
_INFO_FILE = "dataset_info.json"
_CONNECT_SECONDS = 10.0


def read_split(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
) -> StoredSplit:
    """Returns all examples of a split in the order of the files.

    Args:
        name: Name in the table, or `"tfds:NAME"` of any other.
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
    image_key, label_key = keys_of(builder)
    return StoredSplit(
        images=images,
        labels=labels,
        class_names=tuple(features[label_key].names),
        decode=features[image_key].decode_example,
        unreadable=lambda image, error: unreadable(
            builder.name, builder.data_dir, error
        ),
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
        name: Name in the table, or `"tfds:NAME"` of any other.
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
    image_key, label_key = keys_of(builder)
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
    info = _row(name)
    builder = open_builder(name, data_dir, download)
    _check_split(builder, split)
    if info is None:
        return builder
    features = builder.info.features
    image_key, label_key = keys_of(builder)
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


def open_builder(
    name: str, data_dir: str | os.PathLike[str] | None, download: bool
) -> Any:
    """Returns a builder of images and their classes, whose data is prepared.

    Args:
        name: Name in the table, or `"tfds:NAME"` of any other.
        data_dir: Folder of TFDS datasets. None is TFDS's own default.
        download: Whether a dataset that is not in `data_dir` may be fetched.

    Raises:
        InputError: If TFDS knows none of the name, or has it not and cannot
            fetch it, or it is of something else.
    """
    import tensorflow_datasets as tfds

    root = None if not data_dir else _known_to_tfds(files.as_path(data_dir))
    row = _row(name)
    own = None if row is None else row.load()
    stored_name = name.removeprefix(TFDS)
    make: Callable[..., Any] = own or functools.partial(
        tfds.builder, stored_name
    )
    try:
        builder = make(data_dir=root)
    except Exception as error:
        # Foreign code, and what it raises for a wrong name is of many kinds.
        close = difflib.get_close_matches(
            re.split("[/:]", stored_name)[0], tfds.list_builders(), n=3
        )
        words = f" Did you mean {' or '.join(close)}?" if close else ""
        raise InputError(
            "`name` must be a dataset of TensorFlow Datasets, "
            f"tfds:NAME/CONFIG:VERSION: {_first_line(error)}.{words} "
            f"Received: {name!r}"
        ) from error
    if not _is_prepared(builder):
        if own is not None:
            _prepare_quietly(builder)
        else:
            _download(builder, download)
        # A fresh builder reads what lies there now, whoever put it there.
        builder = make(data_dir=root)
    if row is None:
        _check_features(builder, name)
    return builder


def _known_to_tfds(path: pathlib.Path) -> str:
    """Returns a path as text; TFDS learns of its file system."""
    if isinstance(path, RemotePath):
        # With it comes TFDS.
        from etils import epath

        epath.register_path_cls(f"{path.scheme}://")(RemotePath)
    return str(path)


def _row(name: str) -> DatasetInfo | None:
    """Returns the row of a name, `None` if it is of any dataset of TFDS."""
    if name.startswith(TFDS):
        return None
    row = DATASETS.entry(name)
    return row if isinstance(row, DatasetInfo) else None


def keys_of(builder: Any) -> tuple[str, str]:
    """Returns the names of a dataset's images and classes.

    They are its supervised keys, or else its only image and its only class.
    """
    import tensorflow_datasets as tfds

    keys = builder.info.supervised_keys
    if keys is not None:
        return keys
    image_keys, label_keys = (
        [
            key
            for key, feature in builder.info.features.items()
            if type(feature) is kind
        ]
        for kind in (tfds.features.Image, tfds.features.ClassLabel)
    )
    if len(image_keys) != 1 or len(label_keys) != 1:
        return "", ""
    return image_keys[0], label_keys[0]


def _check_features(builder: Any, name: str) -> None:
    """Checks that a dataset has images of 8 bits and one class for each."""
    import tensorflow_datasets as tfds

    features, keys = dict(builder.info.features.items()), keys_of(builder)
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    fits = (
        len(keys) == 2
        and all(
            isinstance(key, str) and type(features.get(key)) is kind
            for key, kind in zip(keys, kinds, strict=True)
        )
        and features[keys[0]].np_dtype == np.uint8
    )
    if not fits:
        found = ", ".join(
            f"{key}: {type(feature).__name__}"
            for key, feature in features.items()
        )
        raise InputError(
            "`name` must be a dataset for classifying images, with an Image "
            "(uint8) and a ClassLabel as supervised keys or alone of their "
            "kind; wrap others in a function of your own, "
            f"package.module:function. {name!r} has {found}"
        )


def _is_prepared(builder: Any) -> bool:
    return (files.located(builder.data_dir) / _INFO_FILE).exists()


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
    # The builder's own folder is <data_dir>/<name>[/<config>]/<version>.
    depth = builder.info.full_name.count("/")
    return files.located(builder.data_dir).parents[depth]


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

    image_key, label_key = keys_of(builder)
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
        f"again. Received: data_dir={files.located(folder).parents[1]}"
    )


def _first_line(error: BaseException) -> str:
    """Returns what an exception says, without TensorFlow's node names."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip()
    lines = text.splitlines()
    return (lines[0] if lines else type(error).__name__).strip().rstrip(".")
