"""Pretrained networks that cells share: each is trained once."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.run.folder import RunFolder
from trainers.sweeping import locks
from trainers.sweeping import process
from trainers.sweeping.plan import Plan

FOLDER = "pretrain"


class Pretrainings:
    """The runs of `trainers.pretrain` below a sweep's folder.

    Args:
        folder: The sweep's folder.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        # Why pretraining failed that need not be tried for each cell again.
        self._failed: dict[str, str] = {}

    def provide(self, plan: Plan, keep: Sequence[int] = ()) -> str | None:
        """Gives a cell its pretrained network, trained now or before.

        The cell then is as if it had trained it itself. While another process
        trains it, this one waits.

        Args:
            plan: The cell.
            keep: Descriptors that stay open while the network is trained.

        Returns:
            In a line why there is none, or `None` if there is.

        Raises:
            InputError: If the folder cannot be used.
        """
        name = plan.pretraining
        target = RunFolder(self._folder / plan.cell.name)
        if name is None or target.phase("pretrain").is_finished:
            return None
        if name in self._failed:
            return self._failed[name]
        shared = RunFolder(self._folder / FOLDER / name)
        with locks.held(
            self._folder / ".locks" / f"{FOLDER}+{name}",
            lambda: say(f"waiting for {shared.path}, which another job trains"),
        ) as lock:
            if not _is_complete(shared):
                words = [*plan.cell.words, f"--output_dir={shared.path}"]
                held = [each for each in (*keep, lock) if each is not None]
                failure = process.run("pretrain", words, held)
                if failure is not None:
                    self._failed[name] = f"pretraining: {failure}"
                    return self._failed[name]
        _copy(shared, target, plan)
        return None


def _is_complete(shared: RunFolder) -> bool:
    """Whether the network is trained, measured and exported."""
    return shared.phase(
        "pretrain"
    ).is_finished and "saved_model" in shared.read_metrics().get(
        "artifacts", {}
    )


def _copy(shared: RunFolder, target: RunFolder, plan: Plan) -> None:
    """Makes the pretrain phase of one run that of another, too."""
    metrics = shared.read_metrics()
    entry = metrics["phases"]["pretrain"]
    if plan.evaluation.matches(entry):
        target.merge_metrics(
            {
                "phases": {"pretrain": entry},
                **{
                    key: metrics[key]
                    for key in ("attacks", "certification")
                    if key in metrics
                },
            }
        )
    checkpoints = shared.finished("pretrain").parent
    # The network comes last: with it the phase is finished.
    for suffix in ("settings.json", "history.json", "keras"):
        file = checkpoints / f"pretrain.{suffix}"
        try:
            with files.replacing_file(
                target.finished("pretrain").with_name(file.name)
            ) as partial:
                partial.write_bytes(file.read_bytes())
        except FileNotFoundError as error:
            raise InputError(
                f"{file} is missing; delete {shared.path} to train it again"
            ) from error
