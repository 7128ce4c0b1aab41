"""Images without labels: pictures of a folder, or those of a data set."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import tensorflow as tf

from hydra_tf import data
from hydra_tf import files
from hydra_tf.data import pictures
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import FOLDER


@dataclasses.dataclass(frozen=True)
class Images:
    """Images in batches.

    Attributes:
        batches: uint8 tensors of shape `(batch_size, height, width, channels)`.
        count: Number of images.
    """

    batches: tf.data.Dataset
    count: int


def read(
    name: str,
    image_shape: tuple[int, int, int],
    batch_size: int,
    data_dir: str | None,
) -> Images:
    """Returns the images of `--dataset`, brought to a shape.

    Args:
        name: `folder:PATH`, of which every picture counts, or as for
            `hydra_tf.data.load`, of which the training split is taken.
        image_shape: Height, width and channels.
        batch_size: Images in a batch.
        data_dir: As for `hydra_tf.data.load`.

    Raises:
        InputError: If there are none.
    """
    if name.startswith(FOLDER):
        paths = _find(name)
        batches = (
            tf.data.Dataset.from_tensor_slices(paths)
            .map(
                lambda path: pictures.decode(
                    tf.io.read_file(path), image_shape
                ),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .batch(batch_size)
        )
        return Images(batches.prefetch(tf.data.AUTOTUNE), len(paths))
    pipeline = data.load(
        name,
        "train",
        batch_size=batch_size,
        training=False,
        data_dir=data_dir,
        image_size=image_shape[:2],
        image_channels=image_shape[2],
    )
    batches = pipeline.dataset().map(
        lambda images, labels: tf.cast(tf.round(images * 255), tf.uint8)
    )
    return Images(batches, len(pipeline))


def _find(name: str) -> list[str]:
    """Returns the paths of all pictures in a folder, by name."""
    path = name.removeprefix(FOLDER)
    folder = files.as_path(path)
    if not (path and files.is_dir(folder)):
        raise InputError(f"--dataset={name} is no folder")
    found = sorted(str(path) for path in folder.rglob("*") if _counts(path))
    if not found:
        raise InputError(
            f"--dataset={name} holds no pictures ("
            f"{', '.join(pictures.READABLE)})"
        )
    fault = None
    if not files.is_remote(folder):
        fault = pictures.find_fault([os.fsencode(path) for path in found])
    if fault is not None:
        raise InputError(
            f"--dataset={name} has a picture that {fault[1]}: "
            f"{os.fsdecode(fault[0])}; mend or remove it"
        )
    return found


def _counts(path: pathlib.Path) -> bool:
    return (
        path.suffix.lower() in pictures.READABLE
        and not path.name.startswith(".")
        and path.is_file()
    )
