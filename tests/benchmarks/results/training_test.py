"""What cells of the study train on and are measured on."""

import dataclasses

import numpy as np
import pytest

from benchmarks.results import studies
from benchmarks.results import training
from benchmarks.results.place import Place
from benchmarks.results.rows import NOT_PRETRAINED
from benchmarks.results.rows import Cell
from benchmarks.results.rows import as_settings


def test_held_out_images_have_the_classes_shares():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 141))
    seen = []
    for seed in range(studies.FOLDS):
        kept, held_out = training.fold(labels, seed)
        assert sorted([*kept, *held_out]) == list(range(len(labels)))
        for rows in (kept, held_out):
            share = len(rows) / len(labels)
            counts = np.bincount(labels[rows], minlength=10)
            assert np.all(np.abs(counts - 141 * share) < 2)
        seen += held_out.tolist()
    # Seeds take turns.
    assert sorted(seen) == list(range(len(labels)))


def test_another_radius_is_trained_at_and_pretrained_for():
    study = studies.STUDIES["digits"]
    cell = Cell(
        study="digits",
        network="digits_model",
        objective="madry",
        purpose="selection",
        method="hydra",
        density=0.01,
        seed=0,
        settings=as_settings({"allocation": "erk", "radius": None}),
        epochs="40+20+40",
    )
    wider = dataclasses.replace(
        cell, settings=as_settings({"allocation": "erk", "radius": 0.3})
    )
    assert cell.arguments == wider.arguments == {"allocation": "erk"}
    usual, other = (training._objective(c, study) for c in (cell, wider))
    assert (usual.epsilon, other.epsilon) == (0.15, 0.3)
    assert other.step_size == 2 * usual.step_size
    place = Place("work")
    assert place.pretrained(cell) != place.pretrained(wider)
    # Rows from before radii were tried are still found.
    assert cell.settings == '{"allocation": "erk"}'


def test_a_cell_whose_pretraining_fails_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_ATTEMPTS", 1)
    cell = Cell(
        study="digits",
        network="digits_model",
        objective="madry",
        purpose="final",
        method="hydra",
        density=0.01,
        seed=0,
        # All images look alike then.
        settings=as_settings({"allocation": "erk", "radius": 1.0}),
        epochs="1+1+1",
    )
    row = training.run(cell, Place(str(tmp_path)), "0123456")
    assert row.cell == cell
    assert row.failed and row.note == NOT_PRETRAINED
    assert (row.natural, row.worst, row.images) == (0, 0, 0)
    assert not list(tmp_path.rglob("*.keras"))


@pytest.mark.parametrize("study", studies.STUDIES.values(), ids=studies.STUDIES)
def test_objectives_of_a_study_can_be_made(study):
    cell = Cell(
        study=study.name,
        network=study.networks[0],
        objective="",
        purpose="final",
        method="hydra",
        density=0.01,
        seed=0,
        settings="{}",
        epochs="8+4+8",
    )
    found = {
        name: training._objective(
            dataclasses.replace(cell, objective=name), study
        )
        for name in study.objectives
    }
    assert {each.epsilon for each in found.values()} == {study.epsilon}
    if "n_fgsm" in found:
        assert found["n_fgsm"].noise_magnitude == 2
        assert type(found["n_fgsm"]) is type(found["fgsm"])
