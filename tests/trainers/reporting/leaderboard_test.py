"""The benchmark's rows: of networks with AutoAttack's figure alone."""

from tests.trainers.reporting import folders
from trainers.reporting import leaderboard
from trainers.reporting import networks
from trainers.reporting import runs


def board(folder):
    return leaderboard.make(networks.setups(runs.read([str(folder)])[0]))


def test_row_has_the_benchmark_s_columns(tmp_path):
    run = folders.write(tmp_path / "run", density=0.05)
    folders.evaluation(tmp_path / "later", run)
    found = board(tmp_path)
    (row,) = found.rows
    assert (
        row
        | {
            "name": "hydra",
            "architecture": "digits_model",
            "dataset": "digits",
            "structure": "weights",
            "pruning": "US",
            "sparsity": 95.0,
            "clean": 87.5,
            "autoattack": 25.0,
            "clean/autoattack": "87.50/25.00",
            "fmn": 30.0,
            "fmn_median_distance": 0.07,
            "threat_model": "Linf",
            "epsilon": 0.1,
            "images": 80,
            "fmn_curve": "0:87.50 0.1:30.00 0.2:0.00",
        }
        == row
    )
    assert found.command is None
    header, line = found.tsv().splitlines()
    assert header.split("\t") == list(row)
    assert line.split("\t")[:3] == ["hydra", "digits_model", "digits"]


def test_channels_are_structured(tmp_path):
    settings = {"phase": "finetune", "density": 0.5, "granularity": "channel"}
    run = folders.write(tmp_path / "run", run=settings)
    folders.evaluation(tmp_path / "later", run)
    (row,) = board(tmp_path).rows
    assert (row["structure"], row["pruning"]) == ("channels", "S")


def test_missing_figure_comes_with_the_command_that_adds_it(tmp_path):
    run = folders.write(tmp_path / "a run")
    found = board(tmp_path)
    assert not found.rows
    assert found.missing == ["a run"]
    assert f"--source='{run}' --eval_attacks=autoattack,fmn" in found.command
    assert f"--flagfile='{run}/flags.txt'" in found.command
