"""Checks of what a user passes in; each failure is one line that helps."""

from __future__ import annotations

import numpy as np

from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import BATCH_SIZE
from hydra_tf.registry.datasets import CUTMIX
from hydra_tf.registry.datasets import FRACTION
from hydra_tf.registry.training import SEED


def check_settings(batch_size: int, fraction: float, seed: int) -> None:
    """Checks what needs no data."""
    BATCH_SIZE.check(batch_size)
    FRACTION.check(fraction)
    SEED.check(seed)


def check_cutmix(cutmix: float, batch_size: int, training: bool) -> None:
    """Checks that images can be mixed with others of their batch."""
    if not CUTMIX.check(cutmix):
        return
    if not training:
        raise InputError(
            "`cutmix` must be 0 unless the images are for training; pass "
            f"`training`=True, or leave it out. Received: cutmix={cutmix:g}"
        )
    if batch_size == 1:
        raise InputError(
            f"`cutmix`={cutmix:g} mixes images of a batch: `batch_size` must "
            "be 2 or more. Received: batch_size=1"
        )


def check_batches(
    batch_size: int, num_examples: int, training: bool, drop_remainder: bool
) -> None:
    """Checks that there is at least one batch, a full one for training."""
    if batch_size > num_examples and (training or drop_remainder):
        raise InputError(
            f"`batch_size` must be at most {num_examples}, the number of "
            f"examples. Received: batch_size={batch_size}"
        )


def check_shapes(images: np.ndarray, labels: np.ndarray) -> None:
    """Checks that there is one label per image."""
    if images.ndim != 4 or not images.size:
        raise InputError(
            "`images` must have the shape (num_examples, height, width, "
            f"channels), none of them 0. Received: shape {images.shape}"
        )
    if labels.ndim != 1 or len(labels) != len(images):
        raise InputError(
            "`labels` must hold one integer per image, shape "
            f"({len(images)},), no one-hot rows. "
            f"Received: shape {labels.shape}"
        )


def check_pixels(images: np.ndarray) -> np.ndarray:
    """Returns float images as float32 in [0, 1], uint8 ones unchanged."""
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            "`images` must be floats in [0, 1] or uint8 in 0..255. "
            f"Received: dtype {images.dtype}"
        )
    inputs.check_images(images, "images")
    return images.astype(np.float32)


def check_labels(labels: np.ndarray, num_classes: int | None) -> None:
    """Checks that labels are integers in `[0, num_classes)`."""
    inputs.check_labels(
        labels,
        "labels",
        num_classes=num_classes,
        because="as `num_classes` is {}",
    )
