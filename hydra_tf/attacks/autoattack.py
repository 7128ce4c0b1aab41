"""AutoAttack: an ensemble of attacks without parameters to tune."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import os
import pathlib
import time
import zipfile
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import files
from hydra_tf import progress as progress_of
from hydra_tf import text
from hydra_tf.attacks import suspicions
from hydra_tf.attacks.checks import check_attack_settings
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.checks import checked_images
from hydra_tf.attacks.checks import checked_labels
from hydra_tf.attacks.ensemble import Ensemble
from hydra_tf.attacks.logits import Model
from hydra_tf.attacks.logits import fingerprint
from hydra_tf.attacks.logits import num_classes_of
from hydra_tf.attacks.logits import predictions
from hydra_tf.attacks.restarts import attack_survivors
from hydra_tf.errors import FileError
from hydra_tf.errors import InputError
from hydra_tf.registry.attacks import AUTOATTACK_VERSION
from hydra_tf.registry.attacks import BATCH_SIZE
from hydra_tf.registry.attacks import EPSILON
from hydra_tf.registry.attacks import SEED
from hydra_tf.registry.calls import checked_call
from hydra_tf.registry.training import PROGRESS
from hydra_tf.resumable import check_same_settings
from hydra_tf.resumable import digest

# Seconds between two writes of what is done, at least.
_INTERVAL = 30.0


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class AutoAttackResult:
    """What AutoAttack found; `str` is a table of it.

    Attributes:
        images: Float32 images: adversarial where an attack broke the image,
            else the image itself.
        robust: Bool array, which images the network gets right whatever was
            tried.
        broken_by: Array of the names of the attacks that broke the images, ""
            where none did, or the network is wrong on the image itself.
        correct: Bool array, which images the network gets right unattacked.
        attacks: Names of the attacks, in the order that they were run in.
        warnings: What makes the figures doubtful, a sentence each.
        epsilon: Radius of the ball.
        threat_model: Its norm.
        seconds: Time it took.
    """

    images: np.ndarray
    robust: np.ndarray
    broken_by: np.ndarray
    correct: np.ndarray
    attacks: tuple[str, ...]
    warnings: tuple[str, ...]
    epsilon: float
    threat_model: str
    seconds: float

    @property
    def natural_accuracy(self) -> float:
        """Fraction of the images that the network gets right."""
        return float(np.mean(self.correct))

    @property
    def robust_accuracy(self) -> float:
        """Fraction of the images that withstood all attacks."""
        return float(np.mean(self.robust))

    @property
    def accuracy_after(self) -> dict[str, float]:
        """Fraction of the images that are right after each of the attacks."""
        left, shares = self.correct.copy(), {}
        for name in self.attacks:
            left &= self.broken_by != name
            shares[name] = float(np.mean(left))
        return shares

    def __repr__(self) -> str:
        return (
            f"AutoAttackResult({self._what}, natural "
            f"{text.percent(self.natural_accuracy)}, robust "
            f"{text.percent(self.robust_accuracy)})"
        )

    def __str__(self) -> str:
        rows = [["natural", text.percent(self.natural_accuracy)]]
        rows += [
            [f"after {name}", text.percent(share)]
            for name, share in self.accuracy_after.items()
        ]
        lines = [text.table([self._what, "accuracy"], rows)]
        lines += [f"warning: {each}" for each in self.warnings]
        return "\n".join(lines)

    @property
    def _what(self) -> str:
        radius = text.ball(self.threat_model, self.epsilon)
        return f"{len(self.robust)} images, {radius}"


@checked_call
def autoattack(
    model: Model,
    x: Any,
    y: Any,
    *,
    epsilon: float,
    threat_model: str = "linf",
    version: str = "standard",
    seed: int = 0,
    batch_size: int = 256,
    clip: tuple[float, float] | None = (0.0, 1.0),
    state: str | os.PathLike | None = None,
    progress: str = "none",
) -> AutoAttackResult:
    """Runs one attack after the other on the images that withstood so far.

    To be called eagerly, on any number of images. Every attack is compiled
    once; neither batches nor the images beside it change what happens to an
    image, but for rounding.

    * `"standard"`: APGD on the cross-entropy, targeted APGD on the difference
      of logits ratio, targeted FAB, Square with 5,000 queries.
    * `"plus"`: APGD on the cross-entropy and on the untargeted ratio, and
      untargeted FAB, with five restarts each; Square; targeted APGD and FAB.
    * `"rand"`, for networks that are random: APGD on both losses, gradients
      averaged over 20 passes.

    Targeted attacks try nine classes, or all but the label where there are
    fewer.

    Args:
        model: Keras model, or any callable from images to logits.
        x: Float images of shape `(images, ...)`, within `clip`.
        y: Integer labels, shape `(images,)` or `(images, 1)`.
        epsilon: Float >= 0, radius of the ball; for Linf within the range of
            the images.
        threat_model: `"linf"` or `"l2"`.
        version: `"standard"`, `"plus"` or `"rand"`.
        seed: Integer >= 0.
        batch_size: Integer >= 1, images at a time.
        clip: Least and largest value of a pixel, or `None` for no limits.
        state: File, `.npz`, that keeps what is done. If the attack is stopped,
            the same call resumes it, with the same result as an unbroken one,
            unless the network is random. It is removed at the end.
        progress: `"none"`, or `"auto"` for a line with the attack that runs
            and the time that is left at most, and for the warnings.

    Returns:
        An `AutoAttackResult`.

    Raises:
        InputError: If an argument is out of its range, `x` is not within
            `clip`, or `state` is of another attack.

    Example:
    ```python
    found = ht.attacks.autoattack(model, images, labels, epsilon=8 / 255)
    print(found)
    ```

    Reference:

    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """
    AUTOATTACK_VERSION.check(version)
    SEED.check(seed)
    BATCH_SIZE.check(batch_size)
    PROGRESS.check(progress)
    if not EPSILON.accepts(epsilon):
        raise EPSILON.error(epsilon)
    check_attack_settings(
        epsilon=epsilon,
        step_size=0.0,
        num_steps=0,
        threat_model=threat_model,
        clip=clip,
    )
    check_model(model)
    if not tf.executing_eagerly():
        raise InputError(
            "`autoattack` must be called outside of `tf.function`; `apgd` can "
            "be called within."
        )
    given = checked_images(x, model, clip)
    images = tf.cast(given, tf.float32).numpy()
    num_classes = num_classes_of(model, images)
    labels = checked_labels(y, given, model, num_classes)
    labels = labels.numpy().astype(np.int32)
    ensemble = Ensemble(
        model,
        images,
        epsilon=float(epsilon),
        threat_model=threat_model,
        version=version,
        seed=seed,
        clip=clip,
    )
    names = tuple(dict.fromkeys(each.part.name for each in ensemble.stages))
    classes = predictions(model, images, batch_size)
    doubts = suspicions.of_network(
        model, images[:batch_size], labels[:batch_size], version
    )
    _warn(doubts, progress)
    identity = {
        "epsilon": float(epsilon),
        "threat_model": threat_model,
        "version": version,
        "attacks": list(names),
        "seed": seed,
        "batch_size": batch_size,
        "clip": None if clip is None else [float(each) for each in clip],
        # What a random network says does not tell it from others.
        "network": fingerprint(model, labels if version == "rand" else classes),
        "images": digest(images),
        "labels": digest(labels),
    }
    done = _Progress(classes == labels, images)
    with _Saved(state, identity, done) as saved:
        _run(ensemble, images, labels, done, saved, batch_size, progress)
    broken_by = np.array([*names, ""])[done.broken_by]
    found = suspicions.of_square(broken_by)
    _warn(found, progress)
    return AutoAttackResult(
        images=done.images,
        robust=done.robust,
        broken_by=broken_by,
        correct=done.correct,
        attacks=names,
        warnings=(*doubts, *found),
        epsilon=float(epsilon),
        threat_model=threat_model,
        seconds=done.seconds,
    )


@dataclasses.dataclass
class _Progress:
    """What is done; images that are not broken are those given.

    Attributes:
        correct: Bool array, which images the network gets right unattacked.
        images: Float32 images, adversarial where they are broken.
        robust: Bool array, which images withstood so far.
        broken_by: Integers, the number of the attack, or -1.
        stage: Where to resume: the stage that was reached, and
        position: the index of the next image in it.
        seconds: Time it took.
    """

    correct: np.ndarray
    images: np.ndarray
    robust: np.ndarray = dataclasses.field(init=False)
    broken_by: np.ndarray = dataclasses.field(init=False)
    stage: int = 0
    position: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.robust, self.images = self.correct.copy(), self.images.copy()
        self.broken_by = np.full(len(self.robust), -1, np.int64)


def _run(
    ensemble: Ensemble,
    images: np.ndarray,
    labels: np.ndarray,
    done: _Progress,
    saved: _Saved,
    batch_size: int,
    progress: str,
) -> None:
    """Runs the stages that are left."""
    stages, count = ensemble.stages, len(labels)
    numbers = sorted({each.number for each in stages})

    def attack(rows, stage):
        x_adv, broken = ensemble.attack(stage, images[rows], labels[rows], rows)
        done.images[rows[broken]] = x_adv[broken]
        part = numbers.index(stages[stage].number)
        done.broken_by[rows[broken]] = part
        return ~broken

    ticker = progress_of.Ticker(
        "autoattack",
        len(stages) * count,
        progress,
        compiles=done.stage < len(stages),
        as_share=True,
    )
    with contextlib.closing(ticker):
        for stage, position in attack_survivors(
            attack,
            done.robust,
            num_restarts=len(stages),
            batch_size=batch_size,
            restart=done.stage,
            position=done.position,
        ):
            done.stage, done.position = stage, position
            saved.save()
            share = text.percent(float(np.mean(done.robust)))
            ticker.update(
                stage * count + position,
                f"{stages[stage].part.name}, robust at most {share}",
            )


def _warn(sentences: list[str], progress: str) -> None:
    if progress != "none":
        for each in sentences:
            progress_of.say(f"warning: {each}")


class _Saved:
    """The file that keeps what is done.

    As a context manager it writes the file if the block is left by an
    exception, and removes it if the block ends well.

    Args:
        path: The file, or `None` for none.
        settings: What the result depends on.
        done: What is done, which is read from the file if it is there.
    """

    def __init__(
        self,
        path: str | os.PathLike | None,
        settings: dict[str, Any],
        done: _Progress,
    ):
        self._path = None if path is None else files.as_path(path)
        self._settings = json.loads(json.dumps(settings))
        self._done = done
        self._before = 0.0
        self._written = self._start = time.monotonic()
        if self._path is None:
            return
        if self._path.suffix != ".npz":
            raise InputError(
                f"`state` must be a path that ends in .npz. Received: {path!r}"
            )
        files.check_writable(self._path.parent, "state")
        files.clear_partial(self._path.parent, glob.escape(self._path.stem))
        if self._path.exists():
            self._read(self._path)
        self._before = done.seconds

    def __enter__(self) -> _Saved:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._count_seconds()
        if kind is not None:
            # What ended the block matters more than what is kept of it.
            with contextlib.suppress(FileError):
                self._write()
        elif self._path is not None:
            self._path.unlink(missing_ok=True)

    def save(self) -> None:
        """Writes the file, if it is time."""
        if time.monotonic() - self._written >= _INTERVAL:
            self._write()

    def _count_seconds(self) -> None:
        self._done.seconds = self._before + time.monotonic() - self._start

    def _write(self) -> None:
        self._count_seconds()
        if self._path is not None:
            done = self._done
            rows = np.flatnonzero(done.broken_by >= 0)
            with files.replacing_file(self._path) as partial:
                np.savez(
                    partial,
                    settings=np.array(json.dumps(self._settings)),
                    correct=done.correct,
                    robust=done.robust,
                    rows=rows,
                    broken_by=done.broken_by[rows],
                    images=done.images[rows],
                    reached=np.array([done.stage, done.position]),
                    seconds=np.array(done.seconds),
                )
        self._written = time.monotonic()

    def _read(self, path: pathlib.Path) -> None:
        done = self._done
        try:
            with (
                files.naming(path, "read"),
                path.open("rb") as file,
                np.load(file, allow_pickle=False) as kept,
            ):
                settings = json.loads(str(kept["settings"]))
                check_same_settings(path, settings, self._settings)
                rows = kept["rows"]
                done.correct[:] = kept["correct"]
                done.robust[:] = kept["robust"]
                done.broken_by[rows] = kept["broken_by"]
                done.images[rows] = kept["images"]
                done.stage, done.position = map(int, kept["reached"])
                done.seconds = float(kept["seconds"])
        except (
            zipfile.BadZipFile,
            EOFError,
            KeyError,
            AttributeError,
            IndexError,
            ValueError,
        ) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path} is no AutoAttack to resume: give another path, or "
                "delete it"
            ) from error
