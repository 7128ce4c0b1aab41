"""A pipeline whose prune phase is most of the training."""

import json

from tests.trainers import binaries

COURSE = (
    "--method=gradual",
    "--finetune_epochs=0",
    "--warm_start",
    "--select=best",
    "--validation_fraction=0.2",
)


def test_fresh_network_is_not_measured(tmp_path):
    code = binaries.run(
        "pipeline",
        *binaries.TINY,
        *COURSE,
        "--pretrain_epochs=0",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert list(record["phases"]) == ["prune"]
    assert "before pruning" not in record.get("comparison", {})


def test_pretraining_has_the_objective_it_is_given(tmp_path):
    def run(name, *arguments):
        folder = tmp_path / name
        given = (*binaries.TINY, *COURSE, *arguments)
        assert binaries.run(name, *given, f"--output_dir={folder}") == 0
        return json.loads((folder / "metrics.json").read_text())

    whole = run("pipeline", "--pretrain_objective=natural")
    assert whole["run"]["objective"] == "madry"
    assert whole["run"]["pretrain_objective"] == "natural"
    alone = run("pretrain", "--objective=natural", "--nowarm_start")
    losses = [
        [epoch["loss"] for epoch in each["phases"]["pretrain"]["history"]]
        for each in (whole, alone)
    ]
    assert losses[0] == losses[1]
