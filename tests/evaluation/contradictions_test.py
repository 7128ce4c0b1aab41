"""Proofs against attacks."""

import numpy as np
import pytest

from hydra_tf.errors import ContradictionError
from hydra_tf.evaluation import contradictions


def test_attack_on_a_proved_image_is_a_defect():
    proved = np.array([True, True, False])
    contradictions.check_images("ibp", proved, "pgd", proved, 0.1)
    with pytest.raises(
        ContradictionError,
        match="ibp certifies 1 of 3 .* within 0.1 that pgd turns.* number 1:",
    ):
        contradictions.check_images(
            "ibp", proved, "pgd", np.array([True, False, True]), 0.1
        )


@pytest.mark.parametrize(
    ("radius", "robust_accuracy", "contradicts"),
    [(0.2, 0.3, True), (0.3, 0.3, True), (0.1, 0.3, False), (0.2, 0.4, False)],
)
def test_more_proved_than_an_attack_left_is_a_defect(
    radius, robust_accuracy, contradicts
):
    proof = {"radius": radius, "certified_accuracy": 0.4}
    attack = {
        "attack": "pgd",
        "epsilon": 0.2,
        "robust_accuracy": robust_accuracy,
    }
    if not contradicts:
        contradictions.check_accuracies("ibp", proof, attack)
        return
    with pytest.raises(
        ContradictionError, match="ibp certifies 40.0 %.*pgd left only 30.0 %"
    ):
        contradictions.check_accuracies("ibp", proof, attack)
