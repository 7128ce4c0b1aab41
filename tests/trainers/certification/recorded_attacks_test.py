"""What a run recorded about attacks on the network that is certified."""

import json

import pytest

from trainers.certification.recorded_attacks import recorded_attacks
from trainers.run import source


@pytest.fixture
def folder(tmp_path):
    """The folder of a run whose finetuned network was attacked."""
    network = tmp_path / "checkpoints" / "finetune.keras"
    network.parent.mkdir()
    network.write_bytes(b"weights")
    entry = {
        "checkpoint": source.fingerprint(network),
        "num_examples": 40,
        "robust_accuracy": {"pgd": 0.5},
        "attacks": {"pgd": {"epsilon": 0.01, "threat_model": "linf"}},
    }
    record = {"phases": {"finetune": entry}}
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    (tmp_path / "saved_model").mkdir()
    return tmp_path


@pytest.mark.parametrize("path", ["checkpoints/finetune.keras", "saved_model"])
def test_attacks_on_the_same_network_are_found(path, folder):
    assert recorded_attacks(folder / path) == [
        {
            "attack": "pgd",
            "robust_accuracy": 0.5,
            "num_examples": 40,
            "epsilon": 0.01,
            "threat_model": "linf",
        }
    ]


def test_attacks_on_another_network_do_not_count(folder):
    assert recorded_attacks(folder / "checkpoints" / "prune.keras") == []
    (folder / "checkpoints" / "finetune.keras").write_bytes(b"other weights")
    assert recorded_attacks(folder / "saved_model") == []
