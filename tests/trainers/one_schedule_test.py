"""A pipeline whose prune phase is most of the training."""

import json

import pytest

from tests.trainers import binaries


def run(folder, name, *arguments):
    code = binaries.run(
        name, *binaries.TINY, *arguments, f"--output_dir={folder}"
    )
    assert code == 0
    return json.loads((folder / "metrics.json").read_text())


def test_fresh_network_is_not_measured(tmp_path):
    record = run(
        tmp_path,
        "pipeline",
        "--method=gradual",
        "--pretrain_epochs=0",
        "--finetune_epochs=0",
    )
    assert list(record["phases"]) == ["prune"]


@pytest.mark.slow
def test_pretraining_has_the_objective_it_is_given(tmp_path):
    given = run(
        tmp_path / "given",
        "pretrain",
        "--pretrain_objective=natural",
        "--warm_start",
    )
    alone = run(tmp_path / "alone", "pretrain", "--objective=natural")
    assert given["run"]["pretrain_objective"] == "natural"
    losses = [
        [epoch["loss"] for epoch in each["phases"]["pretrain"]["history"]]
        for each in (given, alone)
    ]
    assert losses[0] == losses[1]
