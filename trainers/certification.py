"""Proofs about a network: the images that no perturbation can turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from flags.certification_methods import SMOOTHING
from hydra_tf import bounds
from hydra_tf import interrupts
from hydra_tf import smoothing
from hydra_tf import text
from hydra_tf.errors import ContradictionError
from hydra_tf.keras_internals import flatten_layers
from hydra_tf.progress import Ticker

if TYPE_CHECKING:
    from flags.attack_flags import EvaluationSettings

# Noisy copies that choose the class whose share is then bounded, and the
# probability of being wrong, as Cohen et al. have them.
SELECTION_SAMPLES = 100
ALPHA = 0.001

# Numbers that bounds of a batch may hold in one tensor, about: 128 MB. Methods
# with a pass for every neuron divide their work up to single images.
_MAX_NUMBERS = 2**25
_MAX_NUMBERS_OF_IMAGES = 2**15
_MAX_BATCH = 256


class BoundProver:
    """Tells on which images bounds prove a network right.

    Args:
        network: Keras model from images to logits.
        method: One of `hydra_tf.bounds.METHODS`.
        batch_size: Images at a time; fewer where memory is short. By default
            as many as are sensible for the method.
        num_examples: Number of images to come, if it is known.
        dtype: `"float32"` or `"float64"`, in which bounds are computed.

    Raises:
        InputError: If a layer has no bounds.
    """

    def __init__(
        self,
        network: keras.Model,
        method: str,
        *,
        batch_size: int | None = None,
        num_examples: int | None = None,
        dtype: str = "float32",
    ):
        bounds.check_supported(network)
        batch_size = batch_size or _sensible_batch(network, method)
        self.batch_size = min(batch_size, num_examples or batch_size)
        self._dtype = dtype
        # Batches all have one shape, by which the bounds divide their work.
        self._certified = tf.function(
            lambda x, y, epsilon: bounds.certified(
                network, x, y, epsilon, method
            ),
            autograph=False,
        )

    def __call__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        epsilon: float,
        update: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """Returns which images are right under any change up to epsilon.

        Args:
            images: Images in [0, 1].
            labels: Their classes.
            epsilon: Linf radius.
            update: Called with the number of images done so far.
        """
        count = len(labels)
        proved: np.ndarray = np.zeros(count, bool)
        done = 0
        while done < count:
            interrupts.check()
            size = self.batch_size
            # Rows past the end repeat the last image.
            rows = np.minimum(np.arange(done, done + size), count - 1)
            try:
                with _full_float32():
                    proved[rows] = self._certified(
                        tf.constant(images[rows], self._dtype),
                        tf.constant(labels[rows], tf.int32),
                        tf.constant(epsilon, self._dtype),
                    ).numpy()
            except (tf.errors.ResourceExhaustedError, MemoryError):
                if size == 1:
                    raise
                self.batch_size = size // 2
                continue
            done = min(done + size, count)
            update(done)
        return proved


@contextlib.contextmanager
def _full_float32() -> Iterator[None]:
    """Has GPUs multiply at full precision, which bounds count on."""
    config = tf.config.experimental
    before = config.tensor_float_32_execution_enabled()
    config.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        config.enable_tensor_float_32_execution(before)


def make_provers(
    network: Any, settings: EvaluationSettings, num_examples: int
) -> dict[str, BoundProver]:
    """Returns what proves by bounds in an evaluation, by method.

    Args:
        network: The network.
        settings: Those of the evaluation.
        num_examples: Number of images to come.

    Raises:
        InputError: If a layer of the network has no bounds.
    """
    return {
        name: BoundProver(network, name, num_examples=num_examples)
        for name in settings.bounds
    }


def prove_by_bounds(
    prover: BoundProver,
    images: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    epsilon: float,
    label: str,
    progress: str,
) -> np.ndarray:
    """Returns which images are right under any change up to epsilon.

    Args:
        prover: What proves it.
        images: Images in [0, 1].
        labels: Their classes.
        correct: Which of them the network gets right as they are.
        epsilon: Linf radius.
        label: What the progress line says.
        progress: The value of `--progress`.
    """
    rows = np.flatnonzero(correct)
    ticker = Ticker(label, len(rows), progress)
    proved: np.ndarray = np.zeros(len(labels), bool)
    proved[rows] = prover(images[rows], labels[rows], epsilon, ticker.update)
    ticker.close()
    return proved


def prove_by_smoothing(
    network: Any,
    images: np.ndarray,
    labels: np.ndarray,
    settings: EvaluationSettings,
    progress: str,
) -> dict[str, np.ndarray]:
    """Returns which images the smoothed network is right on, by radius.

    Args:
        network: Callable from images to logits.
        images: Images in [0, 1].
        labels: Their classes.
        settings: Those of the evaluation.
        progress: The value of `--progress`.
    """
    chosen = settings.certification
    if chosen is None or SMOOTHING not in chosen.methods:
        return {}
    certificates = smoothing.certify_each(
        network,
        images,
        chosen.sigma,
        n0=SELECTION_SAMPLES,
        n=chosen.num_samples,
        alpha=ALPHA,
        batch_size=settings.batch_size,
        seed=settings.seed,
    )
    ticker = Ticker(SMOOTHING, len(labels), progress)
    done = []
    for certificate in certificates:
        interrupts.check()
        done.append(certificate)
        ticker.update(len(done))
    ticker.close()
    result = smoothing.Certification.collect(done)
    right = result.predictions == labels
    return {
        smoothing_name(radius): right & (result.radii >= radius)
        for radius in chosen.radii
    }


def smoothing_name(radius: float) -> str:
    """Returns what smoothing's certified accuracy at a radius is called."""
    return f"{SMOOTHING}@{radius:g}"


def describe(settings: EvaluationSettings) -> dict[str, dict[str, Any]]:
    """Returns all settings of the proofs, for `metrics.json`."""
    chosen = settings.certification
    described: dict[str, dict[str, Any]] = {}
    if chosen is None:
        return described
    for name in chosen.methods:
        if name != SMOOTHING:
            described[name] = {
                "epsilon": chosen.epsilon,
                "threat_model": "linf",
                "dtype": "float32",
            }
            continue
        for radius in chosen.radii:
            described[smoothing_name(radius)] = {
                "radius": radius,
                "threat_model": "l2",
                "sigma": chosen.sigma,
                "num_samples": chosen.num_samples,
                "num_selection_samples": SELECTION_SAMPLES,
                "alpha": ALPHA,
                "seed": settings.seed,
            }
    return described


def check_against_attack(
    proof: str,
    proved: np.ndarray,
    attack: str,
    withstood: np.ndarray,
    epsilon: float,
) -> None:
    """Compares a proof with an attack within the same radius.

    Args:
        proof: Name of the method.
        proved: The images that it proves right.
        attack: Name of the attack.
        withstood: The images that are right under it.
        epsilon: The radius of both.

    Raises:
        ContradictionError: If the attack turns an image that is proved.
    """
    turned = np.flatnonzero(proved & ~withstood)
    if len(turned):
        raise ContradictionError(
            f"{proof} certifies {len(turned)} of {len(proved)} test images "
            f"within {epsilon:.4g} that {attack} turns there, the first of "
            f"them number {turned[0]}: the bounds are wrong. This is a defect "
            "of hydra_tf (certified "
            f"{text.percent(float(proved.mean()))}, robust "
            f"{text.percent(float(withstood.mean()))}); please report it"
        )


def _sensible_batch(network: keras.Model, method: str) -> int:
    """Returns how many images' bounds are computed at a time."""
    widest = max(_sizes(network), default=1)
    if method not in ("ibp", "crown_ibp"):
        return int(np.clip(_MAX_NUMBERS_OF_IMAGES // widest, 1, _MAX_BATCH))
    # Numbers for every place in a layer: two ends, or a row of coefficients
    # for every other class.
    rows = 2 if method == "ibp" else 2 * int(network.output_shape[-1])
    return int(np.clip(_MAX_NUMBERS // (rows * widest), 1, _MAX_BATCH))


def _sizes(network: keras.Model) -> list[int]:
    """Returns how many numbers each layer makes of an image."""
    sizes = []
    for layer in flatten_layers(network, include_self=False):
        try:
            shape = layer.output.shape
        except (AttributeError, ValueError):
            continue
        sizes.append(int(np.prod([size or 1 for size in shape[1:]])))
    return sizes
