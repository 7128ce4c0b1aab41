"""The figures of cells: a row for each, and means over seeds."""

import pytest

from hydra_tf import files
from trainers.run.folder import RunFolder
from trainers.sweeping import results
from trainers.sweeping.results import Row


def row(method, seed, natural=None, robust=None, state="finished"):
    figures = {}
    if natural is not None:
        figures = {
            "natural": natural,
            "robust.pgd": robust,
            "achieved_density": 0.1,
        }
    values = {"method": method, "density": "0.1", "seed": str(seed)}
    return Row(f"{method}+{seed}", values, state, figures)


ROWS = [
    row("lwm", 0, 0.9, 0.5),
    row("lwm", 1, 0.8, 0.7),
    row("hydra", 0, 0.85, 0.6),
    row("hydra", 1, state="failed"),
]


def test_table_has_a_row_for_each_cell():
    lines = [line.split("\t") for line in results.as_tsv(ROWS).splitlines()]
    assert lines == [
        "cell method density seed state natural robust.pgd achieved_density "
        "path".split(),
        "0 lwm 0.1 0 finished 0.9 0.5 0.1 lwm+0".split(),
        "1 lwm 0.1 1 finished 0.8 0.7 0.1 lwm+1".split(),
        "2 hydra 0.1 0 finished 0.85 0.6 0.1 hydra+0".split(),
        ["3", "hydra", "0.1", "1", "failed", "", "", "", "hydra+1"],
    ]


def test_means_and_deviations_are_over_seeds():
    header, _, *lines = results.means(ROWS).splitlines()
    assert header.split("  ")[0] == "method"
    assert "robust (pgd)" in header and "seed" not in header
    # Of 0.9 and 0.8 the sample's deviation is 0.1 / sqrt(2).
    assert [line.split() for line in lines] == [
        "lwm 0.1 2 85.0 +- 7.1 % 60.0 +- 14.1 % 10.0 +- 0.0 %".split(),
        "hydra 0.1 1 85.0 % 60.0 % 10.0 %".split(),
    ]


def test_figures_are_those_of_the_last_phase(tmp_path):
    folder = RunFolder(tmp_path)
    assert results.of_run(folder) == {}
    folder.metrics.write_text("{")
    assert results.of_run(folder) == {}
    phases = {"prune": {"natural_accuracy": 0.1}}
    files.write_json(folder.metrics, {"phases": phases})
    assert results.of_run(folder) == {}
    phases["finetune"] = {
        "natural_accuracy": 0.5,
        "robust_accuracy": {"pgd": 0.25, "fgsm": 0.375},
        "certified_accuracy": {"ibp": 0.125},
    }
    files.write_json(
        folder.metrics, {"phases": phases, "sparsity": {"density": 0.2}}
    )
    assert results.of_run(folder) == pytest.approx(
        {
            "natural": 0.5,
            "robust.pgd": 0.25,
            "robust.fgsm": 0.375,
            "certified.ibp": 0.125,
            "achieved_density": 0.2,
        }
    )
