"""Mistakes with the report: folders that hold nothing, or other things."""

from hydra_tf import files
from tests.trainers.reporting import folders


def _nothing(folder):
    (folder / "nothing").mkdir()


def _begun(folder):
    files.write_text(folder / "new/checkpoints/prune.settings.json", "{}")


def _corrupt(folder):
    files.write_text(folder / "bad" / "metrics.json", '{"phases": {')


def _other_shape(folder):
    files.write_text(folder / "bad" / "metrics.json", '{"phases": [1]}')


def _curve(folder):
    text = '{"phases": {"prune": {"curves": {"fmn": {"radii": "all"}}}}}'
    files.write_text(folder / "bad" / "metrics.json", text)


def _cut_off(folder):
    path = folder / "bad" / "checkpoints" / "pretrain.history.json"
    files.write_text(path, '[{"epoch": 1')


def _bad_sweep(folder):
    folders.write(folder / "sweep" / "cell")
    files.write_text(folder / "sweep" / "sweep.json", "[]")


def _in_the_way(folder):
    folders.write(folder / "good")
    files.write_text(folder / "web" / "notes.txt", "mine")


def _file(folder):
    folders.write(folder / "good")
    files.write_text(folder / "taken", "mine")


def _good(folder):
    folders.write(folder / "good")


COMMANDS = {
    "report without runs": ("report", ["--runs", "required"]),
    "report on a missing folder": (
        "report --runs={folder}/gone",
        ["--runs=", "gone is not there", "folders of runs"],
    ),
    "report on an empty folder": (
        (_nothing, "report --runs={folder}/nothing"),
        ["nothing holds no run", "metrics.json"],
    ),
    "report on a run without an epoch": (
        (_begun, "report --runs={folder}/new"),
        ["nothing to show yet", "no epoch"],
    ),
    "report on a corrupt record": (
        (_corrupt, "report --runs={folder}/bad"),
        ["bad/metrics.json", "cannot be read as JSON"],
    ),
    "report on a record of another shape": (
        (_other_shape, "report --runs={folder}/bad"),
        ["bad/metrics.json", "`phases` must be an object"],
    ),
    "report on a curve of another shape": (
        (_curve, "report --runs={folder}/bad"),
        ["bad/metrics.json", "curves.fmn.radii` must be a list"],
    ),
    "report on a history that was cut off": (
        (_cut_off, "report --runs={folder}/bad"),
        ["pretrain.history.json", "cannot be read as JSON"],
    ),
    "report on a damaged sweep": (
        (_bad_sweep, "report --runs={folder}/sweep"),
        ["sweep.json", "must be an object"],
    ),
    "report into a folder of other things": (
        (_in_the_way, "report --runs={folder}/good --output_dir={folder}/web"),
        ["--output_dir=", "notes.txt", "no part of a report"],
    ),
    "report into a file": (
        (_file, "report --runs={folder}/good --output_dir={folder}/taken"),
        ["--output_dir=", "is a file"],
    ),
    "report with images below zero": (
        (_good, "report --runs={folder}/good --images=-1"),
        ["--images", ">= 0"],
    ),
}
