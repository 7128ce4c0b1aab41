"""Measuring a network: its accuracy, under attacks, and what is proved."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import Any
from typing import TypeVar

import numpy as np
import tensorflow as tf

from hydra_tf import interrupts
from hydra_tf import smoothing
from hydra_tf import text
from hydra_tf.attacks import noise
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.ensemble import Ensemble
from hydra_tf.attacks.logits import accepts_argument
from hydra_tf.attacks.logits import as_logits_function
from hydra_tf.attacks.logits import compiled
from hydra_tf.attacks.logits import fingerprint
from hydra_tf.attacks.logits import predictions
from hydra_tf.attacks.restarts import attack_survivors
from hydra_tf.attacks.restarts import restart_seed
from hydra_tf.errors import InputError
from hydra_tf.errors import check_known
from hydra_tf.evaluation import contradictions
from hydra_tf.evaluation.network import as_exported
from hydra_tf.evaluation.network import checked_data
from hydra_tf.evaluation.prover import BoundProver
from hydra_tf.evaluation.result import Evaluation
from hydra_tf.evaluation.result import ball
from hydra_tf.evaluation.settings import EvaluationSettings
from hydra_tf.evaluation.settings import smoothing_name
from hydra_tf.evaluation.state import State
from hydra_tf.progress import Ticker
from hydra_tf.registry.attacks import ATTACKS
from hydra_tf.registry.attacks import AttackEntry
from hydra_tf.resumable import digest

# From the indices of a batch and the number of the restart to which of those
# images the network still gets right.
_Attack = Callable[[np.ndarray, int], np.ndarray]
_Settings = TypeVar("_Settings")


def evaluate(
    model: Callable[..., Any],
    images: Any,
    labels: Any,
    settings: EvaluationSettings | None = None,
    *,
    state: str | os.PathLike | None = None,
    progress: str = "none",
    **changes: Any,
) -> Evaluation:
    """Measures a network: accuracy, accuracy under attacks, what is proved.

    An image that the network gets wrong counts as not robust. Each restart of
    an attack attacks only the images that withstood those before, which gives
    the same figure as attacking them all. What bounds prove within the radius
    of the attacks is compared with these.

    Args:
        model: Keras model from images to logits, masked or not, measured as it
            would be exported; or any callable from images to logits, of which
            nothing can be proved by bounds.
        images: Float images in [0, 1], shape `(images, ...)`.
        labels: Integer classes, shape `(images,)`.
        settings: An `EvaluationSettings`; by default that without arguments.
        state: File that keeps what is done. If the evaluation is stopped, the
            same call resumes it, with the same result as an unbroken one. It
            is removed when everything is measured.
        progress: `"none"`, or `"auto"` for a line that counts images on a
            terminal, and elsewhere now and then.
        **changes: Fields of `EvaluationSettings` that are to differ from
            `settings`: `attacks` (`("pgd",)`), `bounds` (none), `epsilon`
            (8/255), `step_size` (`epsilon / 4`), `num_steps` (50),
            `num_restarts` (10), `threat_model` (`"linf"`), `smoothing` (a
            `SmoothingSettings`, or `None`), `batch_size` (256), `seed` (0).

    Returns:
        An `Evaluation`, with the answers for every image.

    Raises:
        InputError: If an argument cannot be used, a layer has no bounds, an
            attack leaves its ball, or `state` is of another evaluation.
        ContradictionError: If an attack succeeds where a proof says that none
            can.

    Example:
    ```python
    measured = ht.evaluation.evaluate(
        network, images, labels, attacks=["pgd", "cleverhans_mim"],
        bounds=["crown_ibp"], epsilon=2 / 255, state="run/evaluation.json",
    )
    print(measured)
    ```
    """
    settings = changed(settings, EvaluationSettings, changes)
    check_model(model)
    images, labels = checked_data(images, labels, model)
    network = as_exported(model)
    provers = {
        name: BoundProver(network, name, num_examples=len(labels))
        for name in settings.bounds
    }
    attacks = {}
    for name in settings.attacks:
        entry = ATTACKS.entry(name)
        prepare = _ensemble if entry.ensemble else _attack
        attacks[name] = prepare(entry, network, settings, images, labels)
    classes = predictions(network, images, settings.batch_size)
    correct = classes == labels
    identity = {
        **dataclasses.asdict(settings),
        "network": fingerprint(network, classes),
        "images": digest(images),
        "labels": digest(labels),
    }
    withstood, certified = {}, {}
    with State(state, identity) as saved:
        for name, (attack, num_restarts) in attacks.items():
            withstood[name] = _withstood(
                name, attack, num_restarts, correct, settings, saved, progress
            )
        for name, prover in provers.items():
            certified[name] = _proved(
                name, prover, images, labels, correct, settings, saved, progress
            )
            for attacked, robust in withstood.items():
                contradictions.check_images(
                    name, certified[name], attacked, robust, settings.epsilon
                )
        certified |= _smoothed(
            network, images, labels, settings, saved, progress
        )
        seconds = saved.seconds
    return Evaluation(
        natural_accuracy=float(np.mean(correct)),
        robust_accuracy=_shares(withstood),
        attacks=settings.attack_records,
        certified_accuracy=_shares(certified),
        certification=settings.proof_records,
        num_examples=len(labels),
        seconds=seconds,
        correct=correct,
        withstood=withstood,
        certified=certified,
    )


def changed(
    settings: _Settings | None, kind: type[_Settings], changes: dict[str, Any]
) -> _Settings:
    """Returns settings with some fields replaced.

    Args:
        settings: The settings, `None` for the defaults.
        kind: Their class.
        changes: The fields to replace, by name.

    Raises:
        InputError: If the settings are others, there is no such field, or a
            value is out of range.
    """
    if settings is None:
        settings = kind()
    if not isinstance(settings, kind):
        raise InputError(
            f"`settings` must be of {kind.__name__}. Received: {settings!r}"
        )
    check_known(changes, (each.name for each in dataclasses.fields(settings)))  # type: ignore[arg-type]
    return dataclasses.replace(settings, **changes)  # type: ignore[type-var]


def _attack(
    entry: AttackEntry,
    network: Any,
    settings: EvaluationSettings,
    images: np.ndarray,
    labels: np.ndarray,
) -> tuple[_Attack, int]:
    """Returns the attack, and how often it is started.

    The attack is a function that tells which images withstand.
    """
    attack = entry.load()
    arguments = {
        name: value
        for name, value in settings.attack_arguments.items()
        if entry.reads(name) and name != "seed"
    }
    if entry.restarts:
        arguments["num_restarts"] = 1
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
        return right, _largest_change(x_adv, x, settings.threat_model)

    if entry.compiled:
        signature = [
            tf.TensorSpec((None, *images.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((2,), tf.int32),
        ]
        run = compiled(run, input_signature=signature)

    def attack_rows(rows: np.ndarray, restart: int) -> np.ndarray:
        seed = restart_seed(noise.as_seed(settings.seed), restart)
        if not by_image:
            # The noise of each batch is its own.
            seed = noise.fold_seed(seed, int(rows[0]))
        right, change = run(
            tf.constant(images[rows]),
            tf.constant(labels[rows]),
            tf.constant(rows, tf.int64),
            seed,
        )
        _check_in_ball(entry.name, float(change), settings)
        return right.numpy()

    record = settings.attack_records[entry.name]
    return attack_rows, record.get("num_restarts", 1)


def _ensemble(
    entry: AttackEntry,
    network: Any,
    settings: EvaluationSettings,
    images: np.ndarray,
    labels: np.ndarray,
) -> tuple[_Attack, int]:
    """Returns AutoAttack; what counts as its restarts are its stages."""
    ensemble = Ensemble(
        network,
        images,
        epsilon=settings.epsilon,
        threat_model=settings.threat_model,
        seed=settings.seed,
        **entry.fixed,
    )

    def attack_rows(rows: np.ndarray, stage: int) -> np.ndarray:
        x = images[rows]
        x_adv, broken = ensemble.attack(stage, x, labels[rows], rows)
        change = _largest_change(x_adv, x, settings.threat_model)
        _check_in_ball(entry.name, float(change), settings)
        return ~broken

    return attack_rows, len(ensemble.stages)


def _largest_change(
    x_adv: tf.Tensor, x: tf.Tensor, threat_model: str
) -> tf.Tensor:
    """Returns how far any image was moved; infinity out of [0, 1]."""
    order = np.inf if threat_model == "linf" else 2
    distances = tf.norm(
        tf.reshape(x_adv - x, [tf.shape(x)[0], -1]), order, axis=1
    )
    outside = tf.reduce_any((x_adv < -1e-6) | (x_adv > 1 + 1e-6))
    return tf.where(outside, np.inf, tf.reduce_max(distances))


def _check_in_ball(
    name: str, change: float, settings: EvaluationSettings
) -> None:
    """Raises `InputError` if an attack did more than it may."""
    # Rounding in float32 adds up over the pixels of an image.
    if not change <= 1.001 * settings.epsilon + 1e-5:
        raise InputError(
            f"the attack {name!r} must stay within "
            f"{ball(settings.threat_model, settings.epsilon)} of the images "
            f"and in [0, 1]. It changed one by {change:.4g}"
        )


def _withstood(
    name: str,
    attack: _Attack,
    num_restarts: int,
    correct: np.ndarray,
    settings: EvaluationSettings,
    saved: State,
    progress: str,
) -> np.ndarray:
    """Returns which images are right under every restart of an attack."""
    part = saved.part(
        f"{name} attack", withstood=correct.copy(), restart=0, position=0
    )
    robust, count = part["withstood"], len(correct)
    ticker = Ticker(
        f"{name} attack",
        num_restarts * count,
        progress,
        compiles=part["restart"] < num_restarts,
    )
    with contextlib.closing(ticker):
        for restart, position in attack_survivors(
            attack,
            robust,
            num_restarts=num_restarts,
            batch_size=settings.batch_size,
            restart=part["restart"],
            position=part["position"],
        ):
            part.update(restart=restart, position=position)
            saved.save()
            ticker.update(
                restart * count + position,
                f"robust at most {text.percent(float(robust.mean()))}",
            )
        part["restart"] = num_restarts
    return robust


def _proved(
    name: str,
    prover: BoundProver,
    images: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    settings: EvaluationSettings,
    saved: State,
    progress: str,
) -> np.ndarray:
    """Returns which images bounds prove right within the radius."""
    part = saved.part(f"{name} bounds", proved=np.zeros_like(correct), done=0)
    rows = np.flatnonzero(correct)
    ticker = Ticker(
        f"{name} bounds",
        len(rows),
        progress,
        compiles=part["done"] < len(rows),
    )
    left = rows[part["done"] :]
    with contextlib.closing(ticker):
        for proved in prover.each(images[left], labels[left], settings.epsilon):
            done = part["done"] + len(proved)
            part["proved"][rows[part["done"] : done]] = proved
            part["done"] = done
            saved.save()
            ticker.update(done)
    return part["proved"]


def _smoothed(
    network: Any,
    images: np.ndarray,
    labels: np.ndarray,
    settings: EvaluationSettings,
    saved: State,
    progress: str,
) -> dict[str, np.ndarray]:
    """Returns which images the smoothed network is right on, by radius."""
    chosen = settings.smoothing
    if chosen is None:
        return {}
    part = saved.part("smoothing", predictions=[], radii=[])
    done = len(part["radii"])
    ticker = Ticker(
        "smoothing", len(labels), progress, compiles=done < len(labels)
    )
    certificates = (
        smoothing.certify_each(
            network,
            images[done:],
            chosen.sigma,
            n0=chosen.n0,
            n=chosen.num_samples,
            alpha=chosen.alpha,
            batch_size=settings.batch_size,
            seed=settings.seed,
            first_index=done,
        )
        if done < len(labels)
        else ()
    )
    with contextlib.closing(ticker):
        for certificate in certificates:
            interrupts.check()
            part["predictions"].append(certificate.prediction)
            part["radii"].append(certificate.radius)
            saved.save()
            ticker.update(len(part["radii"]))
    right = np.array(part["predictions"]) == labels
    radii = np.array(part["radii"])
    return {
        smoothing_name(radius): right & (radii >= radius)
        for radius in chosen.radii
    }


def _shares(answers: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.mean(each)) for name, each in answers.items()}
