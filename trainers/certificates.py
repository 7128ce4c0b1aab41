"""Certifying a network image by image, into a table that can be resumed.

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
from typing import Any

from flags import certify_flags
from flags.certify_flags import CertifySettings
from hydra_tf import bounds
from hydra_tf import evaluation
from hydra_tf import files
from hydra_tf import interrupts
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers import certified_results
from trainers.plots import certified as certified_plot
from trainers.run import datasets
from trainers.run import environment
from trainers.run import networks
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder

_TABLE = "certify.tsv"
_PLOT = "certify.png"


def run() -> None:
    """Certifies `--source` as the flags say."""
    parsed = certify_flags.certify_from_flags()
    info = datasets.info(parsed.dataset)
    network, path = _load(parsed, info)
    if not parsed.smooths:
        bounds.check_supported(network)
    folder = _open(parsed)
    chosen = _library_settings(parsed)
    identity = {"dataset": parsed.dataset, "source": _fingerprint(path)}
    done = _done(folder, chosen, identity, parsed)
    _write_flags(folder)
    images, labels = datasets.test_arrays(
        parsed.dataset, parsed.data_dir, parsed.num_examples
    )
    _announce(parsed, path, len(labels), done)
    try:
        result = evaluation.certify(
            network,
            images,
            labels,
            chosen,
            table=folder.path / _TABLE,
            identity=identity,
            attacked=certified_results.known_robustness(path),
            progress=parsed.progress,
        )
    except interrupts.Interrupted as stop:
        if stop.where:
            stop.where += "; run the same command to resume"
        raise
    record = {
        "command": environment.command(),
        "source": parsed.source,
        "dataset": parsed.dataset,
        **result.to_dict(),
        "environment": environment.describe(),
    }
    folder.merge_metrics({"certify": record})
    certified_plot.write(folder.path / _PLOT, record, result.rows)
    say(f"\n{result}\n")
    limit = result.largest_radius
    if limit < parsed.radii[-1]:
        say(
            f"With --n={parsed.n} noisy copies no radius above {limit:.3g} can "
            "be certified.\n"
        )
    say(f"Every image:  {folder.path / _TABLE}")
    say(f"Plot:         {folder.path / _PLOT}")
    say(f"All figures:  {folder.metrics}")
    result.check()


def _library_settings(
    parsed: CertifySettings,
) -> evaluation.CertificationSettings:
    return evaluation.CertificationSettings(
        method=parsed.method,
        radii=parsed.radii,
        sigma=parsed.sigma,
        n0=parsed.n0,
        n=parsed.n,
        alpha=parsed.alpha,
        dtype=parsed.dtype,
        batch_size=parsed.batch_size,
        seed=parsed.seed,
    )


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


def _done(
    folder: RunFolder,
    chosen: evaluation.CertificationSettings,
    identity: dict[str, Any],
    parsed: CertifySettings,
) -> int:
    """Returns how many images the table in the folder holds."""
    table = evaluation.table_of(folder.path / _TABLE, chosen, identity)
    try:
        return len(table.read())
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
        say(f"  resuming after image {done} of {count}")
