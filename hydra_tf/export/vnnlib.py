"""Robustness properties in VNN-LIB, for other verifiers than our bounds.

Reference: [VNN-LIB](https://www.vnnlib.org), as in the competitions of neural
network verification: a property states what must not happen.
"""

from __future__ import annotations

import csv
import io
import os
import pathlib
from typing import Any

import numpy as np

from hydra_tf import files
from hydra_tf import inputs
from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.settings import Count

_NUM_CLASSES = Count(
    name="num_classes", default=2, lower=2, help="Number of logits."
)
_TIMEOUT = Count(
    name="timeout", default=300, lower=1, help="Seconds for each property."
)


def export_vnnlib(
    folder: str | os.PathLike,
    images: Any,
    labels: Any,
    *,
    epsilon: float,
    num_classes: int,
    onnx: str = "network.onnx",
    timeout: int = 300,
) -> list[pathlib.Path]:
    """Writes a robustness property for each image, and the list of them.

    A property holds if no image within `epsilon` (Linf, and in [0, 1]) gets a
    logit of another class that is as high as that of the label's. Inputs are
    numbered as in the flattened `(height, width, channels)`.

    Args:
        folder: Where `image<n>.vnnlib` and `instances.csv` go; made if need be.
            Earlier ones are removed.
        images: Float images in [0, 1], shape `(images, height, width,
            channels)`.
        labels: Their classes, integers.
        epsilon: Radius, above 0 and at most 1.
        num_classes: Number of logits, 2 or more.
        onnx: What `instances.csv` calls the network.
        timeout: Integer >= 1, seconds that `instances.csv` gives each property.

    Returns:
        The files of the properties.

    Raises:
        InputError: If an argument cannot be used.
        FileError: If `folder` cannot be written.

    Example:
    ```python
    ht.export.export_onnx(network, "run/vnn/network.onnx")
    ht.export.export_vnnlib(
        "run/vnn", images[:20], labels[:20], epsilon=2 / 255, num_classes=10
    )
    ```
    """
    folder = files.as_path(folder)
    EPSILON.check(epsilon)
    if not 0 < epsilon <= 1:
        raise InputError(
            f"`epsilon` must be above 0 and at most 1. Received: {epsilon}"
        )
    _NUM_CLASSES.check(num_classes)
    _TIMEOUT.check(timeout)
    images, labels = inputs.as_array(images), inputs.as_array(labels)
    inputs.check_images(images, "images")
    inputs.check_labels(
        labels, "labels", num_images=len(images), num_classes=num_classes
    )
    files.check_writable(folder, "folder")
    for earlier in folder.glob("image*.vnnlib"):
        earlier.unlink()
    written = [
        files.write_text(
            folder / f"image{number}.vnnlib",
            _property(image, int(label), epsilon, num_classes),
        )
        for number, (image, label) in enumerate(
            zip(images, labels, strict=True)
        )
    ]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(
        (onnx, path.name, timeout) for path in written
    )
    files.write_text(folder / "instances.csv", table.getvalue())
    return written


def _property(image: Any, label: int, epsilon: float, num_classes: int) -> str:
    """Returns the property of an image."""
    pixels = np.asarray(image, np.float64).ravel()
    lower, upper = np.clip((pixels - epsilon, pixels + epsilon), 0.0, 1.0)
    lines = [f"; label {label}, Linf radius {epsilon!r}"]
    lines += [f"(declare-const X_{n} Real)" for n in range(len(pixels))]
    lines += [f"(declare-const Y_{n} Real)" for n in range(num_classes)]
    for n, (low, high) in enumerate(zip(lower, upper, strict=True)):
        lines += [
            f"(assert (>= X_{n} {_real(low)}))",
            f"(assert (<= X_{n} {_real(high)}))",
        ]
    lines += ["(assert (or"]
    others = [n for n in range(num_classes) if n != label]
    lines += [f"    (and (>= Y_{n} Y_{label}))" for n in others]
    return "\n".join([*lines, "))", ""])


def _real(number: float) -> str:
    """Returns a number without exponent, which some readers lack."""
    return np.format_float_positional(number, trim="0")
