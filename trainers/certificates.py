"""Certifying a network image by image, into a table that can be gone on with.

```
certify.tsv    settings, then a line for every image
certify.png    certified accuracy over the radius
metrics.json   section `certify`
flags.txt      the settings, where the folder is not that of a training run
```
"""

from __future__ import annotations

import hashlib
import pathlib
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from flags import certify_flags
from flags.certify_flags import CertifySettings
from hydra_tf import attacks
from hydra_tf import files
from hydra_tf import interrupts
from hydra_tf import smoothing
from hydra_tf.errors import InputError
from hydra_tf.progress import Ticker
from hydra_tf.progress import say
from hydra_tf.smoothing.resumable import ResumableTable
from trainers import certification
from trainers import certified_results
from trainers.certified_results import flag_name
from trainers.plots import certified as certified_plot
from trainers.run import datasets
from trainers.run import environment
from trainers.run import networks
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder

_TABLE = "certify.tsv"
_PLOT = "certify.png"
_Row = dict[str, Any]


def run() -> None:
    """Certifies `--source` as the flags say."""
    parsed = certify_flags.certify_from_flags()
    info = datasets.info(parsed.dataset)
    network, path = _load(parsed, info)
    prover = None
    if not parsed.smooths:
        prover = certification.BoundProver(
            network,
            parsed.method,
            batch_size=parsed.batch_size,
            num_examples=parsed.num_examples,
            dtype=parsed.dtype,
        )
    folder = _open(parsed)
    table = ResumableTable(
        folder.path / _TABLE, _columns(parsed), _record(parsed, path)
    )
    rows = _read(table, parsed)
    _write_flags(folder)
    images, labels = datasets.test_arrays(
        parsed.dataset, parsed.data_dir, parsed.num_examples
    )
    known = certified_results.known_robustness(path)
    _announce(parsed, path, len(labels), len(rows))
    logits_of = attacks.as_logits_function(network)
    natural = _predictions(logits_of, images) == labels
    if len(rows) < len(labels):
        new = (
            _by_smoothing(parsed, network, images, labels, len(rows))
            if prover is None
            else _by_bounds(
                parsed, prover, logits_of, images, labels, len(rows)
            )
        )
        _fill(table, rows, new, len(labels), parsed.progress)
    result = certified_results.summarise(
        parsed, rows[: len(labels)], natural, known
    )
    folder.merge_metrics({"certify": result})
    certified_plot.write(folder.path / _PLOT, result, rows[: len(labels)])
    say(f"\n{certified_results.table(parsed, result)}\n")
    limit = certified_results.largest_radius(parsed)
    if limit < parsed.radii[-1]:
        say(
            f"With --n={parsed.n} noisy copies no radius above {limit:.3g} can "
            "be certified.\n"
        )
    say(f"Every image:  {table.path}")
    say(f"Plot:         {folder.path / _PLOT}")
    say(f"All figures:  {folder.metrics}")
    certified_results.check_against_attacks(parsed, result, known)


def _load(parsed: CertifySettings, info) -> tuple[Any, pathlib.Path]:
    """Returns the network, with masks made permanent, and its path."""
    path = pathlib.Path(parsed.source).expanduser()
    if source.is_saved_model(path):
        if not parsed.smooths:
            raise InputError(
                f"--source={parsed.source} is a SavedModel, and --method="
                f"{parsed.method} needs the layers of a Keras model: give the "
                "folder of the run or its .keras file, or pass "
                "--method=smoothing"
            )
        network = source.load_saved_model(path)
        source.check_saved_model(network, path, info)
        return network, path
    path = source.find(parsed.source)
    model = source.load(path)
    source.check(model, f"--source={path}", info, None)
    return networks.stripped(model), path


def _open(parsed: CertifySettings) -> RunFolder:
    """Takes the folder of the results."""
    folder = RunFolder(parsed.output_dir)
    folder.open()
    if parsed.overwrite:
        # What a training run left there stays.
        for name in (_TABLE, _PLOT):
            (folder.path / name).unlink(missing_ok=True)
    return folder


def _columns(parsed: CertifySettings) -> dict[str, Callable[[str], Any]]:
    """Returns the type of each of the table's columns."""
    columns: dict[str, Callable[[str], Any]] = {
        "index": int,
        "label": int,
        "prediction": int,
    }
    if parsed.smooths:
        columns["radius"] = float
    columns |= {flag_name(radius): int for radius in parsed.radii}
    return columns | {"seconds": float}


def _record(parsed: CertifySettings, path: pathlib.Path) -> dict[str, Any]:
    """Returns what every line of the table depends on, by flag name."""
    record = {
        "dataset": parsed.dataset,
        "method": parsed.method,
        "source": _fingerprint(path),
    }
    if parsed.smooths:
        return record | {
            "radii": list(parsed.radii),
            "sigma": parsed.sigma,
            "n0": parsed.n0,
            "n": parsed.n,
            "alpha": parsed.alpha,
            "seed": parsed.seed,
        }
    return record | {"epsilons": list(parsed.radii), "dtype": parsed.dtype}


def _fingerprint(path: pathlib.Path) -> str:
    """Returns a digest of a network's file or folder."""
    if path.is_file():
        return source.fingerprint(path)
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode())
            digest.update(source.fingerprint(file).encode())
    return digest.hexdigest()[:16]


def _read(table: ResumableTable, parsed: CertifySettings) -> list[_Row]:
    """Returns the lines of the table that are there."""
    try:
        return table.read()
    except InputError as error:
        raise InputError(
            f"--output_dir={parsed.output_dir}: {error}; or pass --overwrite "
            "to start again"
        ) from error


def _write_flags(folder: RunFolder) -> None:
    if folder.last_finished() is None:
        files.write_text(
            folder.flagfile,
            as_flagfile(environment.command(), certify_flags.FLAGS),
        )


def _announce(
    parsed: CertifySettings, path: pathlib.Path, count: int, done: int
) -> None:
    say(
        f"certify: {path} on {count} images of {parsed.dataset} by "
        f"{parsed.method}"
    )
    if done >= count:
        say(f"  {count} images are done already")
    elif done:
        say(f"  going on after image {done} of {count}")


def _predictions(
    logits_of: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray
) -> np.ndarray:
    """Returns the class that the network gives each image."""
    classify = tf.function(
        lambda x: tf.argmax(logits_of(x), -1, tf.int32),
        input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)],
        autograph=False,
    )
    return np.concatenate(
        [
            classify(tf.constant(images[row : row + 256])).numpy()
            for row in range(0, len(images), 256)
        ]
    )


def _fill(
    table: ResumableTable,
    rows: list[_Row],
    new: Iterator[_Row],
    count: int,
    progress: str,
) -> None:
    """Appends new lines to the table and to `rows`."""
    first = len(rows)
    certified = sum(_first_flag(row) for row in rows)
    ticker = Ticker("image", count - first, progress)
    try:
        for row in new:
            table.append(row)
            rows.append(row)
            certified += _first_flag(row)
            ticker.update(
                len(rows) - first, f"certified {certified}/{len(rows)}"
            )
            interrupts.check()
    except interrupts.Interrupted as stop:
        stop.where = (
            f"{len(rows)} of {count} images are done; run the same command to "
            "go on"
        )
        raise
    finally:
        ticker.close()


def _first_flag(row: _Row) -> int:
    """Whether an image is certified at the smallest radius."""
    return next(
        value for name, value in row.items() if name.startswith("certified_")
    )


def _by_bounds(
    parsed: CertifySettings,
    prover: certification.BoundProver,
    logits_of: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    first: int,
) -> Iterator[_Row]:
    """Yields the lines of the images from `first` on."""
    while first < len(labels):
        start = time.perf_counter()
        stop = min(first + prover.batch_size, len(labels))
        x, y = images[first:stop], labels[first:stop]
        predictions = _predictions(logits_of, x)
        right = predictions == y
        certified: dict[float, np.ndarray] = {}
        proved: np.ndarray = np.zeros(len(y), bool)
        # What holds within a radius holds within the smaller ones.
        for radius in reversed(parsed.radii):
            rest = np.flatnonzero(right & ~proved)
            proved = proved.copy()
            proved[rest] = prover(x[rest], y[rest], radius)
            certified[radius] = proved
        seconds = (time.perf_counter() - start) / len(y)
        for index in range(len(y)):
            yield {
                "index": first + index,
                "label": int(y[index]),
                "prediction": int(predictions[index]),
                **{
                    flag_name(radius): int(certified[radius][index])
                    for radius in parsed.radii
                },
                "seconds": round(seconds, 6),
            }
        first = stop


def _by_smoothing(
    parsed: CertifySettings,
    network: Any,
    images: np.ndarray,
    labels: np.ndarray,
    first: int,
) -> Iterator[_Row]:
    """Yields the lines of the images from `first` on."""
    certificates = smoothing.certify_each(
        network,
        images[first:],
        parsed.sigma,
        n0=parsed.n0,
        n=parsed.n,
        alpha=parsed.alpha,
        batch_size=parsed.batch_size or 256,
        seed=parsed.seed,
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
                flag_name(radius): int(right and certificate.radius >= radius)
                for radius in parsed.radii
            },
            "seconds": round(certificate.seconds, 6),
        }
