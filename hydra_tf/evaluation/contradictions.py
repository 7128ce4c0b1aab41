"""Proofs against attacks: what is proved within a radius, none may break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hydra_tf import text
from hydra_tf.errors import ContradictionError

_DEFECT = "the bounds are wrong. This is a defect of hydra_tf"


def check_images(
    proof: str,
    proved: np.ndarray,
    attack: str,
    withstood: np.ndarray,
    epsilon: float,
) -> None:
    """Compares a proof with an attack within the same radius, by image.

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
            f"them number {turned[0]}: {_DEFECT} (certified "
            f"{text.percent(float(proved.mean()))}, robust "
            f"{text.percent(float(withstood.mean()))}); please report it"
        )


def check_accuracies(
    method: str, proof: Mapping[str, Any], attack: Mapping[str, Any]
) -> None:
    """Compares a certified with a robust accuracy of the same images.

    Args:
        method: Name of the method that proves.
        proof: Its `radius` and `certified_accuracy`.
        attack: Name of the `attack`, its `epsilon` and `robust_accuracy`.

    Raises:
        ContradictionError: If more is proved than the attack left.
    """
    if (
        proof["radius"] >= attack["epsilon"]
        and proof["certified_accuracy"] > attack["robust_accuracy"]
    ):
        raise ContradictionError(
            f"{method} certifies {text.percent(proof['certified_accuracy'])} "
            f"within {proof['radius']:.4g}, but {attack['attack']} left only "
            f"{text.percent(attack['robust_accuracy'])} within "
            f"{attack['epsilon']:.4g}: {_DEFECT}; please report it"
        )
