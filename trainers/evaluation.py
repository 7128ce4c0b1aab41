"""Measuring a network: its accuracy, under attacks, and what is proved."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
import tensorflow as tf

from hydra_tf import attacks
from hydra_tf import interrupts
from hydra_tf import text
from hydra_tf.progress import Ticker
from trainers import certification

if TYPE_CHECKING:
    from flags.attack_flags import EvaluationSettings

# Of an attack in a compiled function: (images, labels, seed) -> which images
# the network still gets right.
_Attack = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        natural_accuracy: Fraction of the images classified correctly.
        robust_accuracy: The same under each attack, by its name.
        attacks: Settings of each attack, by its name.
        num_examples: Number of images.
        seconds: Time it took.
        certified_accuracy: Fraction of the images proved right, by method.
        certification: Settings of each proof, by method.
    """

    natural_accuracy: float
    robust_accuracy: dict[str, float]
    attacks: dict[str, dict[str, Any]]
    num_examples: int
    seconds: float
    certified_accuracy: dict[str, float]
    certification: dict[str, dict[str, Any]]

    def certified_record(self) -> dict[str, Any]:
        """Returns what was proved, for `metrics.json`; empty if nothing was."""
        if not self.certification:
            return {}
        return {
            "certified_accuracy": self.certified_accuracy,
            "certification": self.certification,
        }


def evaluate(
    model: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    settings: EvaluationSettings,
    progress: str = "auto",
) -> Evaluation:
    """Measures a network on images.

    An image that the network gets wrong counts as not robust. A restart
    attacks the images only that withstood the restarts before, which gives
    the same figure as attacking them all.

    Args:
        model: Callable from images to logits; for bounds a Keras model.
        images: Float32 array in [0, 1].
        labels: Integer array.
        settings: The attacks.
        progress: The value of `--progress`.

    Raises:
        ContradictionError: If an attack succeeds where a proof says that none
            can.
    """
    start = time.monotonic()
    provers = certification.make_provers(model, settings, len(labels))
    correct = _classified(model, images, labels, settings.batch_size)
    robust_accuracy = {}
    withstood = {}
    described = {}
    for name in settings.attacks:
        described[name] = describe(name, settings)
        robust = _withstands(
            _attack(name, model, settings, images),
            images,
            labels,
            correct,
            described[name].get("num_restarts", 1),
            settings,
            f"{name} attack",
            progress,
        )
        robust_accuracy[name] = float(np.mean(robust))
        withstood[name] = robust
    proofs: dict[str, np.ndarray] = {}
    for name, prover in provers.items():
        epsilon = settings.epsilon
        proofs[name] = certification.prove_by_bounds(
            prover,
            images,
            labels,
            correct,
            epsilon,
            f"{name} bounds",
            progress,
        )
        for attack, robust in withstood.items():
            certification.check_against_attack(
                name, proofs[name], attack, robust, epsilon
            )
    proofs |= certification.prove_by_smoothing(
        model, images, labels, settings, progress
    )
    return Evaluation(
        natural_accuracy=float(np.mean(correct)),
        robust_accuracy=robust_accuracy,
        attacks=described,
        num_examples=len(labels),
        seconds=time.monotonic() - start,
        certified_accuracy={
            name: float(np.mean(proof)) for name, proof in proofs.items()
        },
        certification=certification.describe(settings),
    )


def describe(name: str, settings: EvaluationSettings) -> dict[str, Any]:
    """Returns all settings of an attack, for `metrics.json`."""
    described: dict[str, Any] = {
        "epsilon": settings.epsilon,
        "threat_model": settings.threat_model,
        "seed": settings.seed,
    }
    if name in ("pgd", "pgd_margin"):
        described |= {
            "loss": "margin" if name == "pgd_margin" else "ce",
            "num_restarts": settings.num_restarts,
            "random_start": True,
        }
    if name not in ("fgsm", "cleverhans_fgm"):
        described["num_steps"] = settings.num_steps
        if name not in ("cleverhans_cw_l2", "cleverhans_spsa"):
            described["step_size"] = settings.step_size
    if name.startswith("cleverhans"):
        described["library"] = "cleverhans"
    return described


def summary(evaluation: Evaluation) -> str:
    """Returns the figures in one line."""
    robust = ", ".join(
        f"{text.percent(value)} under {name}"
        for name, value in evaluation.robust_accuracy.items()
    )
    certified = ", ".join(
        f"{text.percent(value)} by {name}"
        for name, value in evaluation.certified_accuracy.items()
    )
    certified = f", certified {certified}" if certified else ""
    return (
        f"natural {text.percent(evaluation.natural_accuracy)}, robust "
        f"{robust or '-'}{certified} ({evaluation.num_examples} images, "
        f"{text.duration(evaluation.seconds)})"
    )


def _classified(
    model: Callable[[tf.Tensor], tf.Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
) -> np.ndarray:
    """Returns which images the network gets right."""
    logits_of = attacks.as_logits_function(model)

    @tf.function(input_signature=_signature(images))
    def classify(x, y):
        return tf.argmax(logits_of(x), -1, tf.int32) == y

    return np.concatenate(
        [
            classify(*_batch(images, labels, slice(row, row + batch_size)))
            for row in range(0, len(labels), batch_size)
        ]
    )


def _withstands(
    attack: _Attack,
    images: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    num_restarts: int,
    settings: EvaluationSettings,
    label: str,
    progress: str,
) -> np.ndarray:
    """Returns which images are right under every restart of the attack."""
    robust = correct.copy()
    batch_size = settings.batch_size
    per_restart = -(-int(correct.sum()) // batch_size)
    ticker = Ticker(label, num_restarts * per_restart, progress)
    for restart in range(num_restarts):
        active = np.flatnonzero(robust)
        for index, row in enumerate(range(0, len(active), batch_size)):
            interrupts.check()
            rows = active[row : row + batch_size]
            # A stream of its own for each restart of each batch.
            stream = restart * 2**16 + index
            seed = tf.constant([settings.seed, stream], tf.int32)
            robust[rows] = attack(*_batch(images, labels, rows), seed).numpy()
            ticker.update(
                restart * per_restart + index + 1,
                f"robust at most {text.percent(float(robust.mean()))}",
            )
    ticker.close()
    return robust


def _batch(images, labels, rows) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant(images[rows]), tf.constant(labels[rows], tf.int32)


def _signature(images: np.ndarray) -> list[tf.TensorSpec]:
    """Returns the types of batches of any size, images and labels."""
    return [
        tf.TensorSpec((None, *images.shape[1:]), tf.float32),
        tf.TensorSpec((None,), tf.int32),
    ]


def _attack(
    name: str,
    model: Callable[[tf.Tensor], tf.Tensor],
    settings: EvaluationSettings,
    images: np.ndarray,
) -> _Attack:
    """Returns the attack as a function that tells which images withstand."""
    signature = [*_signature(images), tf.TensorSpec((2,), tf.int32)]
    logits_of = attacks.as_logits_function(model)

    def right(x, y):
        return tf.argmax(logits_of(x), -1, tf.int32) == y

    if name.startswith("cleverhans_"):
        kind = name.removeprefix("cleverhans_")
        # Theirs is the learning rate of an optimiser, or there is none.
        own_steps = kind in ("fgm", "cw_l2", "spsa")
        steps: dict[str, Any] = (
            {} if own_steps else {"step_size": settings.step_size}
        )

        def cleverhans_attack(x, y, seed):
            tf.random.set_seed(int(seed[0]) + int(seed[1]))
            x_adv = attacks.cleverhans_attack(
                kind,
                logits_of,
                x,
                y,
                epsilon=settings.epsilon,
                num_steps=settings.num_steps,
                threat_model=settings.threat_model,
                **steps,
            )
            return right(x_adv, y)

        return cleverhans_attack

    if name == "fgsm":

        @tf.function(input_signature=signature)
        def fgsm_attack(x, y, seed):
            x_adv = attacks.fgsm(
                logits_of,
                x,
                y,
                epsilon=settings.epsilon,
                threat_model=settings.threat_model,
                seed=seed,
            )
            return right(x_adv, y)

        return fgsm_attack

    @tf.function(input_signature=signature)
    def pgd_attack(x, y, seed):
        x_adv = attacks.pgd(
            logits_of,
            x,
            y,
            epsilon=settings.epsilon,
            step_size=settings.step_size,
            num_steps=settings.num_steps,
            threat_model=settings.threat_model,
            loss="margin" if name == "pgd_margin" else "ce",
            seed=seed,
        )
        return right(x_adv, y)

    return pgd_attack
