"""A finished network, given by `--source` to be measured or exported."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from hydra_tf import files
from hydra_tf.errors import InputError
from hydra_tf.progress import say
from trainers.run import environment
from trainers.run import networks
from trainers.run import source
from trainers.run.flagfile import as_flagfile
from trainers.run.folder import RunFolder
from trainers.terminal import startup

if TYPE_CHECKING:
    from hydra_tf.data import DatasetInfo
    from trainers.training.settings import Settings


@dataclasses.dataclass(frozen=True)
class FinishedNetwork:
    """A network and where it is from.

    Attributes:
        network: A Keras model, masked or not; of a SavedModel, its function
            from images to logits.
        path: The `.keras` file, or the folder of the SavedModel.
    """

    network: Any
    path: pathlib.Path

    @property
    def is_saved_model(self) -> bool:
        """Whether it is a SavedModel, whose layers nobody sees."""
        return self.path.is_dir()

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the file's or the folder's content."""
        if not self.is_saved_model:
            return source.fingerprint(self.path)
        digest = hashlib.sha256()
        for file in sorted(self.path.rglob("*")):
            if file.is_file():
                digest.update(file.relative_to(self.path).as_posix().encode())
                digest.update(source.fingerprint(file).encode())
        return digest.hexdigest()[:16]

    def check_gradients(self, info: DatasetInfo) -> None:
        """Checks that attacks can follow its gradients.

        Args:
            info: The data set.

        Raises:
            InputError: If there are none.
        """
        if self.is_saved_model:
            source.check_gradients(self.network, f"--source={self.path}", info)

    def check_provable(self, needed_by: str) -> None:
        """Checks that there are bounds for every layer.

        Args:
            needed_by: The flag that asks for bounds.

        Raises:
            InputError: If a layer has none, or nobody sees the layers.
        """
        where = f"--source={self.path}"
        if self.is_saved_model:
            raise InputError(
                f"{where} is a SavedModel, and {needed_by} needs the layers of "
                "a Keras model: give the folder of the run or its .keras file, "
                "or certify by smoothing"
            )
        networks.check_provable(self.network, where, needed_by)


def load(where: str | None, info: DatasetInfo) -> FinishedNetwork:
    """Returns the network of `--source`, also of the folder of a SavedModel.

    Raises:
        InputError: If there is none, or it does not fit the data set.
    """
    path = _path(where)
    if not source.is_saved_model(path):
        return load_keras(where, info)
    network = source.load_saved_model(path, info)
    source.check_logits(network, f"--source={path}", info)
    return FinishedNetwork(network, path)


def load_keras(where: str | None, info: DatasetInfo) -> FinishedNetwork:
    """Returns the network of `--source`, a Keras model.

    Raises:
        InputError: If there is none, or it does not fit the data set.
    """
    path = source.find(str(_path(where)))
    network = source.load(path)
    # A recipe's --model must not stand in the way of another network.
    source.check(network, f"--source={path}", info, None)
    source.check_logits(network, f"--source={path}", info)
    return FinishedNetwork(network, path)


def _path(where: str | None) -> pathlib.Path:
    if where is None:
        raise InputError(
            "--source is required: the folder of a run, or a .keras file"
        )
    return files.as_path(where)


def say_radius(source: FinishedNetwork, epsilon: float) -> None:
    """Says so if a network is measured at another radius than it trained at.

    Args:
        source: The network.
        epsilon: Radius of the evaluation. One that was given is meant.
    """
    if source.path.parent.name != "checkpoints":
        return
    run = RunFolder(source.path.parent.parent).read_metrics().get("run", {})
    trained = run.get("epsilon")
    if any(flags.FLAGS[name].present for name in ("epsilon", "eval_epsilon")):
        return
    if trained and trained != epsilon:
        say(
            f"{source.path}: trained at radius {trained:g}, measured at "
            f"{epsilon:g}; --eval_epsilon={trained:g} measures there"
        )


def holds_training(folder: RunFolder) -> bool:
    """Whether a folder is that of a training run, whose record must stay."""
    return folder.last_finished() is not None


def write_flags(
    folder: RunFolder, flag_values: flags.FlagValues = flags.FLAGS
) -> None:
    """Writes `flags.txt`, unless the folder is that of a training run."""
    if not holds_training(folder):
        files.write_text(
            folder.flagfile, as_flagfile(environment.command(), flag_values)
        )


def record(
    parsed: Settings,
    info: DatasetInfo,
    sources: Sequence[FinishedNetwork],
    folder: RunFolder,
) -> dict[str, Any]:
    """Returns what `metrics.json` says of a folder without training."""
    return {
        "run": {
            "name": folder.path.resolve().name,
            "command": environment.command(),
            "binary": startup.name(),
            "source": ",".join(str(each.path) for each in sources),
            "seed": parsed.seed,
        },
        "environment": environment.describe(),
        "dataset": {
            "name": info.name,
            "image_shape": list(info.image_shape),
            "num_classes": info.num_classes,
            "num_test": info.num_test,
        }
        | ({"class_names": list(info.class_names)} if info.class_names else {}),
    }
