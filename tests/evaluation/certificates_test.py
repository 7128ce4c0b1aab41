"""What a certification amounts to."""

import numpy as np
import pytest

from hydra_tf.errors import ContradictionError
from hydra_tf.evaluation import CertificationSettings
from hydra_tf.evaluation.certificates import Certificates
from hydra_tf.evaluation.certificates import attack_name
from hydra_tf.evaluation.certificates import of_norm


def attack(robust_accuracy, **changes):
    return {
        "attack": "pgd",
        "epsilon": 0.2,
        "threat_model": "linf",
        "robust_accuracy": robust_accuracy,
        "num_examples": 4,
        **changes,
    }


def certificates(*attacked):
    """Of four images, of which one is certified within 0.2."""
    rows = [
        {
            "index": index,
            "label": 0,
            "prediction": int(index == 3),
            "certified_0.1": int(index < 2),
            "certified_0.2": int(index < 1),
            "seconds": 0.5,
        }
        for index in range(4)
    ]
    return Certificates(
        settings=CertificationSettings(method="ibp", radii=(0.1, 0.2)),
        rows=rows,
        natural=np.arange(4) < 3,
        attacked=attacked,
    )


def test_record_has_the_keys_of_metrics_json():
    assert certificates(attack(0.5)).to_dict() == {
        "method": "ibp",
        "threat_model": "linf",
        "num_examples": 4,
        "natural_accuracy": 0.75,
        "certified_accuracy": [
            {"radius": 0.1, "certified_accuracy": 0.5},
            {"radius": 0.2, "certified_accuracy": 0.25},
        ],
        "robust_accuracy": [attack(0.5)],
        "seconds": 2.0,
        "dtype": "float32",
    }


def test_printed_it_is_a_table():
    attacked = attack(0.5, epsilon=2 / 255, num_examples=9)
    assert str(certificates(attacked)).splitlines() == [
        "4 images                     accuracy",
        "---------------------------  --------",
        "natural                        75.0 %",
        "pgd on 9 images, Linf 2/255    50.0 %",
        "certified, Linf 0.1            50.0 %",
        "certified, Linf 0.2            25.0 %",
    ]
    assert attack_name(attacked, 9) == "pgd"


def test_more_proved_than_an_attack_left_is_a_defect():
    certificates(attack(0.25)).check()
    # On other images or within a larger radius it may leave less.
    certificates(attack(0.0, num_examples=9), attack(0.0, epsilon=0.3)).check()
    with pytest.raises(ContradictionError, match="but pgd left only 0.0 %"):
        certificates(attack(0.0)).check()


def test_attacks_of_another_norm_are_left_out():
    attacks = [attack(0.5), attack(0.1, threat_model="l2")]
    assert of_norm(attacks, "linf") == (attacks[0],)
