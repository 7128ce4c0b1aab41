"""What an evaluation finds out with an attack, in steps that can be resumed."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import text
from hydra_tf.attacks import noise
from hydra_tf.attacks import suspicions
from hydra_tf.attacks.ensemble import Ensemble
from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import compiled
from hydra_tf.attacks.restarts import attack_survivors
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.errors import InputError
from hydra_tf.evaluation.settings import EvaluationSettings
from hydra_tf.evaluation.state import State
from hydra_tf.progress import Ticker
from hydra_tf.progress import say
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.attacks import AttackEntry

# What stands for an infinite distance in a file, and for no attack.
_NONE = -1


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What an attack did to the images.

    Attributes:
        withstood: Bool array, which images are right under it.
        broken_by: Of AutoAttack: array of the names of the attacks that broke
            the images, "" where none did.
        distances: Of attacks that look for the smallest perturbation: float
            array of its size, 0 where the network is wrong on the image
            itself, infinity where none was found.
        warnings: What makes the figure doubtful, a sentence each.
    """

    withstood: np.ndarray
    broken_by: np.ndarray | None = None
    distances: np.ndarray | None = None
    warnings: tuple[str, ...] = ()


def prepare(
    name: str,
    network: Any,
    settings: EvaluationSettings,
    images: np.ndarray,
    labels: np.ndarray,
) -> Attack:
    """Returns an attack of an evaluation, which is compiled when it is used.

    Args:
        name: One of `settings.attacks`.
        network: Keras model, or any callable from images to logits.
        settings: Of the evaluation.
        images: Float32 images.
        labels: Their classes.

    Raises:
        InputError: If the attack cannot be loaded.
    """
    entry = ATTACKS.entry(name)
    kind = Attack
    if entry.ensemble:
        kind = AutoAttack
    elif entry.minimum_norm:
        kind = MinimumNorm
    return kind(entry, network, settings, images, labels)


class Attack:
    """An attack that is restarted on the images that withstood so far.

    Args:
        entry: Its row in the registry.
        network: Keras model, or any callable from images to logits.
        settings: Of the evaluation.
        images: Float32 images.
        labels: Their classes.
    """

    # What the part of the state is called that holds what is done.
    _kept_as = "attack"

    def __init__(
        self,
        entry: AttackEntry,
        network: Any,
        settings: EvaluationSettings,
        images: np.ndarray,
        labels: np.ndarray,
    ):
        self._name = entry.name
        self._network = network
        self._settings = settings
        self._images, self._labels = images, labels
        self._num_restarts = self._load(entry)

    def measure(
        self, correct: np.ndarray, saved: State, progress: str
    ) -> Outcome:
        """Attacks the images that the network gets right.

        Args:
            correct: Bool array, which these are.
            saved: What is done so far.
            progress: As for `evaluate`.
        """
        part = saved.part(
            f"{self._name} {self._kept_as}",
            withstood=correct.copy(),
            restart=0,
            position=0,
        )
        self._begin(part, progress)
        count, num_restarts = len(correct), self._num_restarts
        ticker = Ticker(
            self._name,
            num_restarts * count,
            progress,
            compiles=part["restart"] < num_restarts,
            as_share=num_restarts > 1,
        )
        with contextlib.closing(ticker):
            for restart, position in attack_survivors(
                lambda rows, restart: self._attack(part, rows, restart),
                part["withstood"],
                num_restarts=num_restarts,
                batch_size=self._settings.batch_size,
                restart=part["restart"],
                position=part["position"],
            ):
                part.update(restart=restart, position=position)
                saved.save()
                share = float(np.mean(self._withstood(part)))
                ticker.update(
                    restart * count + position,
                    f"robust at most {text.percent(share)}",
                )
            part["restart"] = num_restarts
        return self._outcome(part, progress)

    def _load(self, entry: AttackEntry) -> int:
        """Loads the attack, and returns how often it is started."""
        self._run = _attack_of(
            entry, self._network, self._settings, self._images
        )
        record = self._settings.attack_records[entry.name]
        return record.get("num_restarts", 1)

    def _begin(self, part: dict[str, Any], progress: str) -> None:
        """Adds to the part of the state what it lacks in the beginning."""

    def _attack(
        self, part: dict[str, Any], rows: np.ndarray, restart: int
    ) -> np.ndarray:
        """Attacks a batch, and returns which images to attack again."""
        right, distances = self._run(
            self._images[rows], self._labels[rows], rows, restart
        )
        self._check_in_ball(distances, self._settings.epsilon)
        return right

    def _withstood(self, part: dict[str, Any]) -> np.ndarray:
        """Returns which images withstood so far."""
        return part["withstood"]

    def _outcome(self, part: dict[str, Any], progress: str) -> Outcome:
        return Outcome(withstood=self._withstood(part))

    def _check_in_ball(self, distances: np.ndarray, radius: float) -> None:
        """Raises `InputError` if the attack did more than it may."""
        change = float(np.max(distances))
        # Rounding in float32 adds up over the pixels of an image.
        if not change <= 1.001 * radius + 1e-5:
            raise InputError(
                f"the attack {self._name!r} must stay within "
                f"{text.ball(self._settings.threat_model, radius)} of the "
                f"images and in [0, 1]. It changed one by {change:.4g}"
            )


class MinimumNorm(Attack):
    """An attack that looks for the smallest perturbation, of any size."""

    _kept_as = "distances"

    def _begin(self, part: dict[str, Any], progress: str) -> None:
        part.setdefault("distances", np.where(part["withstood"], _NONE, 0.0))
        part["distances"] = np.asarray(part["distances"], np.float64)

    def _attack(
        self, part: dict[str, Any], rows: np.ndarray, restart: int
    ) -> np.ndarray:
        right, sizes = self._run(
            self._images[rows], self._labels[rows], rows, restart
        )
        order = np.inf if self._settings.threat_model == "linf" else 2
        pixels = np.ones(self._images[0].size)
        self._check_in_ball(sizes, float(np.linalg.norm(pixels, order)))
        before = part["distances"][rows]
        sizes = np.where(right, np.inf, sizes)
        before = np.where(before == _NONE, np.inf, before)
        least = np.minimum(before, sizes)
        part["distances"][rows] = np.where(np.isinf(least), _NONE, least)
        # A further start may find one that is smaller yet.
        return np.ones_like(right)

    def _withstood(self, part: dict[str, Any]) -> np.ndarray:
        distances = part["distances"]
        return (distances == _NONE) | (distances > self._settings.epsilon)

    def _outcome(self, part: dict[str, Any], progress: str) -> Outcome:
        distances = part["distances"]
        return Outcome(
            withstood=self._withstood(part),
            distances=np.where(distances == _NONE, np.inf, distances),
        )


class AutoAttack(Attack):
    """AutoAttack; what counts as its restarts are its stages."""

    _kept_as = "ensemble"

    def _load(self, entry: AttackEntry) -> int:
        self._ensemble = Ensemble(
            self._network,
            self._images,
            epsilon=self._settings.epsilon,
            threat_model=self._settings.threat_model,
            seed=self._settings.seed,
            **entry.fixed,
        )
        stages = self._ensemble.stages
        self._names = {each.number: each.part.name for each in stages}
        self._version = entry.fixed["version"]
        return len(stages)

    def _begin(self, part: dict[str, Any], progress: str) -> None:
        if "broken_by" not in part:
            few = slice(self._settings.batch_size)
            doubts = suspicions.of_network(
                self._network,
                self._images[few],
                self._labels[few],
                self._version,
            )
            part["broken_by"] = np.full(len(self._labels), _NONE)
            part["warnings"] = doubts
            self._warn(doubts, progress)
        part["broken_by"] = np.asarray(part["broken_by"], np.int64)

    def _attack(
        self, part: dict[str, Any], rows: np.ndarray, restart: int
    ) -> np.ndarray:
        x = self._images[rows]
        x_adv, broken = self._ensemble.attack(
            restart, x, self._labels[rows], rows
        )
        distances = _distances(x_adv, x, self._settings.threat_model)
        self._check_in_ball(distances.numpy(), self._settings.epsilon)
        part["broken_by"][rows[broken]] = self._ensemble.stages[restart].number
        return ~broken

    def _outcome(self, part: dict[str, Any], progress: str) -> Outcome:
        names = {_NONE: "", **self._names}
        broken_by = np.array([names[each] for each in part["broken_by"]])
        found = suspicions.of_square(broken_by)
        self._warn(found, progress)
        return Outcome(
            withstood=part["withstood"],
            broken_by=broken_by,
            warnings=(*part["warnings"], *found),
        )

    def _warn(self, sentences: list[str], progress: str) -> None:
        if progress != "none":
            for each in sentences:
                say(f"warning: {self._name}: {each}")


def _attack_of(
    entry: AttackEntry,
    network: Any,
    settings: EvaluationSettings,
    images: np.ndarray,
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Returns an attack as it is called here.

    Returns:
        A function of images, labels, their indices and the number of the
        restart. It returns which of the images the network still gets right,
        and how far each was moved.
    """
    attack = entry.load()
    arguments = {
        name: value
        for name, value in settings.attack_arguments.items()
        if entry.reads(name) and name != "seed"
    }
    if entry.restarts:
        arguments["num_restarts"] = 1
    if entry.minimum_norm:
        arguments["epsilon"] = None
    seeded = accepts_argument(attack, "seed")
    by_image = seeded and accepts_argument(attack, "indices")
    logits_of = as_logits_function(network)

    def run(x, y, indices, seed):
        drawn = {"seed": seed} if seeded else {}
        if by_image:
            drawn["indices"] = indices
        x_adv = attack(network, x, y, **arguments, **drawn)
        x_adv = tf.cast(tf.convert_to_tensor(x_adv), tf.float32)
        right = tf.argmax(logits_of(x_adv), -1, tf.int32) == y
        return right, _distances(x_adv, x, settings.threat_model)

    if entry.compiled:
        signature = [
            tf.TensorSpec((None, *images.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((2,), tf.int32),
        ]
        run = compiled(run, input_signature=signature)

    def attack_rows(x, y, rows, restart):
        seed = restart_seed(noise.as_seed(settings.seed), restart)
        if not by_image:
            # The noise of each batch is its own.
            seed = noise.fold_seed(seed, int(rows[0]))
        right, distances = run(
            tf.constant(x), tf.constant(y), tf.constant(rows, tf.int64), seed
        )
        return right.numpy(), distances.numpy()

    return attack_rows


def _distances(x_adv: Any, x: Any, threat_model: str) -> tf.Tensor:
    """Returns how far each image was moved; infinity out of [0, 1]."""
    order = np.inf if threat_model == "linf" else 2
    shape = [tf.shape(x)[0], -1]
    distances = tf.norm(tf.reshape(x_adv - x, shape), order, axis=1)
    inside = (x_adv >= -1e-6) & (x_adv <= 1 + 1e-6)
    # Not a number is not inside either.
    inside = tf.reduce_all(tf.reshape(inside, shape), axis=1)
    return tf.where(inside, distances, np.inf)
