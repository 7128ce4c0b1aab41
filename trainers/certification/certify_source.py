"""Certifying the network of `--source`, into a table that can be resumed.

```
certify.tsv    settings, then a line for every image
certify.png    certified accuracy over the radius
metrics.json   section `certify`
flags.txt      the settings, where the folder is not that of a training run
```
"""

from __future__ import annotations

from typing import Any

from flags import certify_flags
from flags.certify_flags import CertifySettings
from hydra_tf import evaluation
from hydra_tf import interrupts
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.certification.recorded_attacks import recorded_attacks
from trainers.plots import certified as certified_plot
from trainers.run import datasets
from trainers.run import environment
from trainers.run import finished_network
from trainers.run.folder import RunFolder

_TABLE = "certify.tsv"
_PLOT = "certify.png"


def run() -> None:
    """Certifies `--source` as the flags say, and shows what came of it."""
    parsed = certify_flags.certify_from_flags()
    chosen = parsed.certification
    info = parsed.images.info
    source = finished_network.load(parsed.source, info)
    if not chosen.smooths:
        source.check_provable(f"--method={chosen.method}")
    images, labels = datasets.test_arrays(parsed.images, parsed.num_examples)
    folder = _open(parsed)
    identity = {**parsed.images.record(), "source": source.fingerprint}
    done = _done(folder, parsed, identity)
    finished_network.write_flags(folder, certify_flags.FLAGS)
    say(
        f"certify: {source.path} on {len(labels)} images of {info.name} "
        f"by {chosen.method}"
    )
    if done >= len(labels):
        say(f"  {len(labels)} images are done already")
    elif done:
        say(f"  resuming after image {done} of {len(labels)}")
    try:
        result = evaluation.certify(
            source.network,
            images,
            labels,
            chosen,
            table=folder.path / _TABLE,
            identity=identity,
            attacked=recorded_attacks(source.path),
            progress=parsed.progress,
        )
    except interrupts.Interrupted as stop:
        if stop.where:
            stop.where += "; run the same command to resume"
        raise
    _show(result, folder, parsed)
    result.check()


def _open(parsed: CertifySettings) -> RunFolder:
    """Takes the folder of the results."""
    folder = RunFolder(parsed.output_dir)
    folder.open()
    if parsed.overwrite:
        # What a training run left there stays.
        for name in (_TABLE, _PLOT):
            (folder.path / name).unlink(missing_ok=True)
    return folder


def _done(
    folder: RunFolder, parsed: CertifySettings, identity: dict[str, Any]
) -> int:
    """Returns how many images the table in the folder holds."""
    table = evaluation.table_of(
        folder.path / _TABLE, parsed.certification, identity
    )
    try:
        return len(table.read())
    except InputError as error:
        raise InputError(
            f"--output_dir={parsed.output_dir}: {error}; or pass --overwrite "
            "to start again"
        ) from error


def _show(
    result: evaluation.Certificates, folder: RunFolder, parsed: CertifySettings
) -> None:
    """Writes the figures and the plot, and prints what came of it."""
    record = {
        "command": environment.command(),
        "source": parsed.source,
        "dataset": parsed.images.dataset,
        **result.to_dict(),
        "environment": environment.describe(),
    }
    folder.merge_metrics({"certify": record})
    certified_plot.write(folder.path / _PLOT, record, result.rows)
    say(f"\n{result}\n")
    limit = result.largest_radius
    if limit < result.settings.certified_radii[-1]:
        say(
            f"With --n={result.settings.n} noisy copies no radius above "
            f"{limit:.3g} can be certified.\n"
        )
    say(f"Every image:  {folder.path / _TABLE}")
    say(f"Plot:         {folder.path / _PLOT}")
    say(f"All figures:  {folder.metrics}")
