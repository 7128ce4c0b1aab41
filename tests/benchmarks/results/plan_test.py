"""What a study has still to train."""

import dataclasses
import json

import pytest

from benchmarks.results import methods
from benchmarks.results.plan import Plan
from benchmarks.results.rows import NOT_PRETRAINED
from benchmarks.results.rows import Row
from benchmarks.results.studies import STUDIES
from hydra_tf.errors import InputError

HYDRA = methods.of_study(STUDIES["digits"])["hydra"]


def plan(**changes):
    fields = {
        "study": "digits",
        "network": "digits_model",
        "objective": "madry",
        "purpose": "selection",
        "epochs": (40, 20, 40),
        "methods": [HYDRA],
        "densities": [0.05],
        "seeds": [0, 1],
    }
    return Plan(**(fields | changes))


def measured(cell):
    """A row: LAMP, a radius of 0.17 and at it a rate of 0.3 are best."""
    settings = cell.arguments
    better = cell.radius == 0.17
    best_rate = 0.3 if better else 0.2
    robust = 0.2 + 0.2 * (settings.get("finetune_learning_rate") == best_rate)
    robust += 0.1 * (settings.get("allocation") == "lamp") + 0.3 * better
    return Row(
        **dataclasses.asdict(cell),
        kept=cell.density,
        train_seconds=1.0,
        measure_seconds=1.0,
        natural=0.9,
        robust=json.dumps({"all": robust}),
        images=288,
        commit="0123456",
    )


def run(what):
    rows, rounds = [], []
    while cells := what.ready(rows):
        rounds.append(cells)
        rows += [measured(cell) for cell in cells]
    return rows, rounds


def test_settings_are_chosen_one_after_the_other():
    rows, rounds = run(plan())
    tried = [len(values) for values in HYDRA.tried.values()]
    # All of a setting's values with the first seed, with the second only what
    # won: the others are far behind. What was best before is not trained again.
    assert [len(cells) for cells in rounds] == [
        2 + tried[0],
        *(1, tried[1] - 1, 1, tried[2] - 1, tried[2] - 1),
        # Another radius, and the rates once more with it.
        *(tried[3] - 1, 1, tried[0] - 1, 1),
    ]
    assert rounds[0][0].method == methods.UNPRUNED
    final = plan(purpose="final", seeds=[5]).ready(rows)
    assert [cell.method for cell in final] == [methods.UNPRUNED, "hydra"]
    assert final[1].radius == 0.17
    assert final[1].arguments == {
        "finetune_learning_rate": 0.3,
        "allocation": "lamp",
        "prune_learning_rate": HYDRA.tried["prune_learning_rate"][0],
    }


def test_nearest_density_gives_the_settings_of_others():
    rows, _ = run(plan())
    cell = plan(purpose="final", densities=[0.01]).ready(rows)[-1]
    assert (cell.density, cell.arguments["allocation"]) == (0.01, "lamp")


def test_final_cells_need_a_selection():
    with pytest.raises(InputError, match="--select"):
        plan(purpose="final").ready([])


def test_another_network_gives_its_settings():
    rows, _ = run(plan(network="small"))
    (*_, cell) = plan(purpose="final").ready(rows)
    assert cell.network == "digits_model"
    assert cell.arguments["allocation"] == "lamp"
    # Its own selection is preferred, whatever the density.
    own = [row for row in run(plan(densities=[0.5]))[0] if row.seed == 0]
    worse = [
        dataclasses.replace(row, robust='{"all": 0.9}')
        if row.arguments.get("allocation") == "erk"
        else row
        for row in own
    ]
    (*_, cell) = plan(purpose="final").ready(rows + worse)
    assert cell.arguments["allocation"] == "erk"


def test_another_objective_gives_its_settings():
    rows, _ = run(plan())
    (*_, cell) = plan(purpose="final", objective="trades").ready(rows)
    assert (cell.objective, cell.radius) == ("trades", 0.17)
    own = [
        dataclasses.replace(row, robust='{"all": 0.9}')
        for row in run(plan(objective="trades"))[0]
        if row.radius is None
    ]
    (*_, cell) = plan(purpose="final", objective="trades").ready(rows + own)
    assert cell.radius is None


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_methods_have_equal_budgets(study):
    for method in methods.of_study(study).values():
        assert sum(method.phases(study.epochs)) == sum(study.epochs)


def test_settings_that_failed_on_all_images_are_passed_over():
    rows, _ = run(plan())
    final = plan(purpose="final")
    best = {
        cell.settings for cell in final.ready(rows) if cell.settings != "{}"
    }
    failed = [
        dataclasses.replace(measured(cell), natural=0.1)
        for cell in final.ready(rows)
        if cell.settings in best and cell.seed == 0
    ]
    others = {
        cell.settings
        for cell in final.ready(rows + failed)
        if cell.settings != "{}"
    }
    assert len(best) == len(others) == 1 and best != others


def test_a_radius_at_which_pretraining_failed_is_passed_over():
    rows, _ = run(plan())
    final = plan(purpose="final")
    (cell,) = [
        cell
        for cell in final.ready(rows)
        if cell.method == "hydra" and cell.seed == 0
    ]
    # Of another method and density: their networks are the same.
    failed = dataclasses.replace(
        measured(cell),
        method="lwm",
        density=0.2,
        settings=json.dumps({"radius": cell.radius}),
        note=NOT_PRETRAINED,
    )
    assert cell.radius == 0.17
    (other, _) = [
        each for each in final.ready([*rows, failed]) if each.method == "hydra"
    ]
    assert other.radius != 0.17
    # Diverged later, it is the other method's matter.
    later = dataclasses.replace(failed, note="diverged")
    assert cell in final.ready([*rows, later])
    # Nor does it concern what begins with fresh weights.
    fresh = dataclasses.replace(failed, epochs="20+40+40")
    assert cell in final.ready([*rows, fresh])


def test_a_radius_at_which_a_method_overfits_is_passed_over():
    rows, _ = run(plan())
    (_, first, *_) = plan(purpose="final", seeds=[0]).ready(rows)
    assert first.radius == 0.17
    overfitted = dataclasses.replace(measured(first), robust='{"all": 0.03}')
    another = plan(purpose="final", seeds=[0], densities=[0.2])
    (cell,) = [
        cell
        for cell in another.ready([*rows, overfitted])
        if cell.method == "hydra"
    ]
    assert cell.radius != 0.17
    # By another method it may be otherwise.
    other = dataclasses.replace(overfitted, method="lwm")
    assert another.ready([*rows, other])[-1].radius == 0.17
