"""Sweeps: grids that are none, cells that contradict themselves."""

import json

LOOK = "--model=digits_model"
GRID = "--grid=method=lwm,hydra --grid=seed=0,1"


def own_files(folder):
    (folder / "run").mkdir()
    (folder / "run" / "notes.txt").write_text("mine")


def damaged(folder):
    (folder / "run").mkdir()
    (folder / "run" / "sweep.json").write_text("{")


def other_cells(folder):
    (folder / "run").mkdir()
    cell = {
        "name": "method=harp",
        "values": {"method": "harp"},
        "flags": {},
        "state": "finished",
        "error": None,
        "seconds": 1.0,
    }
    (folder / "run" / "sweep.json").write_text(json.dumps({"cells": [cell]}))


PYTHON = {}

COMMANDS = {
    "sweep: no grid": (f"sweep {LOOK}", ["--grid", "is required"]),
    "sweep: unknown flag": (
        f"sweep {LOOK} --grid=desnity=0.1",
        ["--desnity", "Did you mean 'density'"],
    ),
    "sweep: value out of range": (
        f"sweep {LOOK} --grid=density=0.1,95",
        ["density=95: must be a number in (0, 1]"],
    ),
    "sweep: empty value": (
        f"sweep {LOOK} --grid=seed=0,,1",
        ["--grid=seed=0,,1", "empty value"],
    ),
    "sweep: the same cell twice": (
        f"sweep {LOOK} --grid=density=0.1,1/10",
        ["cell 0", "cell 1 (density=1_10)", "the same run"],
    ),
    "sweep: folder of a cell": (
        f"sweep {LOOK} --grid=output_dir=a,b",
        ["--output_dir", "the same for all cells"],
    ),
    "sweep: no such cell": (
        f"sweep {LOOK} {GRID} --cell=4",
        ["--cell=4", "4 cells", "0 to 3"],
    ),
    "sweep: contradictory flags": (
        f"sweep {LOOK} --grid=method=lwm,harp --grid=allocation=uniform,erk",
        ["cell 2 (method=harp+allocation=uniform)", "--allocation"],
    ),
    "sweep: unknown layer": (
        f"sweep {LOOK} --grid=exclude=conv1;steem",
        ["cell ", "--exclude"],
    ),
    "sweep: nothing left to train on": (
        f"sweep {LOOK} --grid=validation_fraction=0,0.99",
        ["cell 1 (validation_fraction=0.99)", "less than --batch_size"],
    ),
    "sweep: no model": (f"sweep {GRID}", ["cell 0", "--model is required"]),
    "sweep: folder of other things": (
        (own_files, f"sweep {LOOK} {GRID}"),
        ["holds files that are no sweep"],
    ),
    "sweep: damaged record": (
        (damaged, f"sweep {LOOK} {GRID}"),
        ["sweep.json cannot be read as JSON"],
    ),
    "sweep: other cells": (
        (other_cells, f"sweep {LOOK} {GRID}"),
        ["a cell method=harp that --grid no longer has", "--overwrite"],
    ),
}
