"""Certifying a network image by image, into a table that can be resumed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import interrupts
from hydra_tf import smoothing
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.logits import fingerprint
from hydra_tf.attacks.logits import predictions
from hydra_tf.errors import InputError
from hydra_tf.evaluation.certificates import Certificates
from hydra_tf.evaluation.certificates import column
from hydra_tf.evaluation.certificates import of_norm
from hydra_tf.evaluation.evaluate import changed
from hydra_tf.evaluation.network import as_exported
from hydra_tf.evaluation.network import checked_data
from hydra_tf.evaluation.prover import BoundProver
from hydra_tf.evaluation.settings import CertificationSettings
from hydra_tf.progress import Ticker
from hydra_tf.registry.training import PROGRESS
from hydra_tf.resumable import ResumableTable
from hydra_tf.resumable import digest

_Row = dict[str, Any]


def certify(
    model: Callable[..., Any],
    images: Any,
    labels: Any,
    settings: CertificationSettings | None = None,
    *,
    table: str | os.PathLike | None = None,
    identity: Mapping[str, Any] | None = None,
    attacked: Iterable[Mapping[str, Any]] = (),
    progress: str = "none",
    **changes: Any,
) -> Certificates:
    """Proves, image by image, that no perturbation turns a network's answer.

    Args:
        model: Keras model from images to logits, masked or not, certified as
            it would be exported; with smoothing any callable.
        images: Float images in [0, 1], shape `(images, ...)`.
        labels: Integer classes, shape `(images,)`.
        settings: A `CertificationSettings`; by default that without arguments.
        table: Tab-separated file that gets a line for each image as soon as it
            is certified. The same call resumes it, also with more images
            behind those that it holds.
        identity: What tells network and images from others, in the head of the
            table; by default digests of the weights and of the first image.
        attacked: What attacks left of the network; see `Certificates`.
        progress: `"none"`, or `"auto"` for a line that counts images on a
            terminal, and elsewhere now and then.
        **changes: Fields of `CertificationSettings` that are to differ from
            `settings`: `method` (`"crown_ibp"`), `radii`, `sigma` (0.25),
            `n0` (100), `n` (10,000), `alpha` (0.001), `dtype` (`"float32"`),
            `batch_size`, `seed` (0).

    Returns:
        The `Certificates` of all images.

    Raises:
        InputError: If an argument cannot be used, a layer has no bounds, or
            `table` is of another certification.

    Example:
    ```python
    certified = ht.evaluation.certify(
        network, images, labels, method="crown_ibp", radii=[1 / 255, 2 / 255],
        table="run/certify.tsv",
    )
    print(certified)
    ```
    """
    settings = changed(settings, CertificationSettings, changes)
    PROGRESS.check(progress)
    check_model(model)
    images, labels = checked_data(images, labels, model)
    network = as_exported(model)
    prover = None
    if not settings.smooths:
        prover = BoundProver(
            network,
            settings.method,
            batch_size=settings.batch_size,
            num_examples=len(labels),
            dtype=settings.dtype,
        )
    classes = predictions(network, images)
    rows: list[_Row] = []
    append: Callable[[_Row], None] = rows.append
    if table is not None:
        if identity is None:
            identity = {
                "network": fingerprint(network, classes[:1]),
                "first_image": digest(images[:1]),
            }
        file = table_of(table, settings, identity)
        rows = file.read()
        _check_labels(file, rows, labels)

        def append(row: _Row) -> None:
            file.append(row)
            rows.append(row)

    if len(rows) < len(labels):
        new = (
            _by_smoothing(settings, network, images, labels, len(rows))
            if prover is None
            else _by_bounds(
                settings, prover, classes, images, labels, len(rows)
            )
        )
        _fill(rows, append, new, len(labels), settings, progress)
    return Certificates(
        settings=settings,
        rows=rows[: len(labels)],
        natural=classes == labels,
        attacked=of_norm(attacked, settings.threat_model),
    )


def table_of(
    path: str | os.PathLike,
    settings: CertificationSettings,
    identity: Mapping[str, Any],
) -> ResumableTable:
    """Returns the table of a certification, to be read.

    Args:
        path: The file.
        settings: How it is certified.
        identity: What tells network and images from others.
    """
    columns: dict[str, Callable[[str], Any]] = {
        "index": int,
        "label": int,
        "prediction": int,
    }
    radii = settings.certified_radii
    if settings.smooths:
        columns["radius"] = float
    columns |= {column(radius): int for radius in radii}
    return ResumableTable(
        path,
        columns | {"seconds": float},
        {
            **identity,
            "method": settings.method,
            "radii" if settings.smooths else "epsilons": list(radii),
            **settings.record,
        },
    )


def _check_labels(
    file: ResumableTable, rows: list[_Row], labels: np.ndarray
) -> None:
    """Raises `InputError` if a table is of other images."""
    for row, label in zip(rows, labels, strict=False):
        if row["label"] != label:
            raise InputError(
                f"{file.path} holds other images: number {row['index']} has "
                f"the label {row['label']}, not {label}. Give another path, "
                "or delete it"
            )


def _fill(
    rows: list[_Row],
    append: Callable[[_Row], None],
    new: Iterator[_Row],
    count: int,
    settings: CertificationSettings,
    progress: str,
) -> None:
    """Appends the new rows."""
    smallest = column(settings.certified_radii[0])
    certified = sum(row[smallest] for row in rows)
    ticker = Ticker("image", count, progress, compiles=True)
    try:
        with contextlib.closing(ticker):
            for row in new:
                append(row)
                certified += row[smallest]
                ticker.update(len(rows), f"certified {certified}/{len(rows)}")
                interrupts.check()
    except interrupts.Interrupted as stop:
        stop.where = f"{len(rows)} of {count} images are done"
        raise


def _by_bounds(
    settings: CertificationSettings,
    prover: BoundProver,
    classes: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    first: int,
) -> Iterator[_Row]:
    """Yields the rows of the images from `first` on."""
    radii = settings.certified_radii
    while first < len(labels):
        start = time.perf_counter()
        stop = min(first + prover.batch_size, len(labels))
        x, y = images[first:stop], labels[first:stop]
        right = classes[first:stop] == y
        certified: dict[float, np.ndarray] = {}
        proved: np.ndarray = np.zeros(len(y), bool)
        # What holds within a radius holds within the smaller ones.
        for radius in reversed(radii):
            rest = np.flatnonzero(right & ~proved)
            proved = proved.copy()
            proved[rest] = prover(x[rest], y[rest], radius)
            certified[radius] = proved
        seconds = (time.perf_counter() - start) / len(y)
        for index in range(len(y)):
            yield {
                "index": first + index,
                "label": int(y[index]),
                "prediction": int(classes[first + index]),
                **{
                    column(radius): int(certified[radius][index])
                    for radius in radii
                },
                "seconds": round(seconds, 6),
            }
        first = stop


def _by_smoothing(
    settings: CertificationSettings,
    network: Any,
    images: np.ndarray,
    labels: np.ndarray,
    first: int,
) -> Iterator[_Row]:
    """Yields the rows of the images from `first` on."""
    certificates = smoothing.certify_each(
        network,
        images[first:],
        settings.sigma,
        n0=settings.n0,
        n=settings.n,
        alpha=settings.alpha,
        batch_size=settings.batch_size or 256,
        seed=settings.seed,
        first_index=first,
    )
    for certificate in certificates:
        label = int(labels[certificate.index])
        right = certificate.prediction == label
        yield {
            "index": certificate.index,
            "label": label,
            "prediction": certificate.prediction,
            "radius": certificate.radius,
            **{
                column(radius): int(right and certificate.radius >= radius)
                for radius in settings.certified_radii
            },
            "seconds": round(certificate.seconds, 6),
        }
