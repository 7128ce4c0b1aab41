"""Measuring a network: its accuracy, under attacks, and what is proved."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import Any
from typing import TypeVar

import numpy as np

from hydra_tf import interrupts
from hydra_tf import smoothing
from hydra_tf.attacks.checks import check_model
from hydra_tf.attacks.logits import fingerprint
from hydra_tf.attacks.logits import predictions
from hydra_tf.errors import InputError
from hydra_tf.errors import check_known
from hydra_tf.evaluation import attacking
from hydra_tf.evaluation import contradictions
from hydra_tf.evaluation.network import as_exported
from hydra_tf.evaluation.network import checked_data
from hydra_tf.evaluation.prover import BoundProver
from hydra_tf.evaluation.result import Evaluation
from hydra_tf.evaluation.settings import EvaluationSettings
from hydra_tf.evaluation.settings import smoothing_name
from hydra_tf.evaluation.state import State
from hydra_tf.progress import Ticker
from hydra_tf.registry.training import PROGRESS
from hydra_tf.resumable import digest

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
    the same figure as attacking them all. An attack that looks for the
    smallest perturbation runs once, without limit; its figure at `epsilon` is
    a point of a curve over all radii. What bounds prove within the radius of
    the attacks is compared with these.

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
    PROGRESS.check(progress)
    check_model(model)
    images, labels = checked_data(images, labels, model)
    network = as_exported(model)
    provers = {
        name: BoundProver(network, name, num_examples=len(labels))
        for name in settings.bounds
    }
    attacks = {
        name: attacking.prepare(name, network, settings, images, labels)
        for name in settings.attacks
    }
    classes = predictions(network, images, settings.batch_size)
    identity = {
        **dataclasses.asdict(settings),
        "network": fingerprint(network, classes),
        "images": digest(images),
        "labels": digest(labels),
    }
    found, certified = {}, {}
    with State(state, identity) as saved:
        # A random network would say something else when this is resumed.
        kept = saved.part("predictions", classes=classes.tolist())
        classes = np.array(kept["classes"], np.int32)
        correct = classes == labels
        for name, attack in attacks.items():
            found[name] = attack.measure(correct, saved, progress)
        for name, prover in provers.items():
            certified[name] = _proved(
                name, prover, images, labels, correct, settings, saved, progress
            )
            for attacked, outcome in found.items():
                contradictions.check_images(
                    name,
                    certified[name],
                    attacked,
                    outcome.withstood,
                    settings.epsilon,
                )
        certified |= _smoothed(
            network, images, labels, settings, saved, progress
        )
        seconds = saved.seconds
    return Evaluation(
        labels=labels,
        predictions=classes,
        attacks=settings.attack_records,
        withstood={name: each.withstood for name, each in found.items()},
        broken_by={
            name: each.broken_by
            for name, each in found.items()
            if each.broken_by is not None
        },
        distances={
            name: each.distances
            for name, each in found.items()
            if each.distances is not None
        },
        warnings={
            name: each.warnings for name, each in found.items() if each.warnings
        },
        certification=settings.proof_records,
        certified=certified,
        seconds=seconds,
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
