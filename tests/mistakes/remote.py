"""Mistakes with folders that are not on this machine."""

from hydra_tf import data
from hydra_tf import export
from hydra_tf import training


def _run_phase(given, folder):
    return training.run_phase(
        given.network(),
        "pretrain",
        (given.images, given.labels),
        given.objective(),
        epochs=1,
        folder=folder,
    )


PYTHON = {
    "phase_in_an_unknown_file_system": (
        lambda given: _run_phase(given, "nosuch://bucket/run"),
        ["nosuch://bucket/run", "no file system nosuch://", "gs://"],
    ),
    "SavedModel_in_an_unknown_file_system": (
        lambda given: export.export_saved_model(
            given.network(), "nosuch://bucket/model"
        ),
        ["nosuch://bucket/model", "no file system nosuch://"],
    ),
    "data_in_an_unknown_file_system": (
        lambda given: data.load(
            "digits", "train", batch_size=4, data_dir="nosuch://bucket/data"
        ),
        ["nosuch://bucket/data", "no file system nosuch://"],
    ),
    "pictures_that_are_not_there": (
        lambda given: data.load(
            "folder:ram://no/pictures", "train", batch_size=4, image_size=8
        ),
        ["ram://no/pictures does not exist"],
    ),
}
COMMANDS = {
    "run_in_an_unknown_file_system": (
        "pipeline --output_dir=nosuch://bucket/run",
        ["--output_dir=nosuch://bucket/run", "no file system nosuch://"],
    ),
    "source_in_an_unknown_file_system": (
        "prune --source=nosuch://bucket/run",
        ["--source=nosuch://bucket/run", "no file system nosuch://"],
    ),
    "source_that_is_not_there": (
        "finetune --source=ram://no/run",
        ["--source=ram://no/run does not exist"],
    ),
    "flagfile_that_is_not_there": (
        "pipeline --flagfile=ram://no/flags.txt",
        ["--flagfile=ram://no/flags.txt", "cannot be read: No such file"],
    ),
    "report_of_what_is_not_there": (
        "report --runs=ram://no/run",
        ["--runs=ram://no/run is not there"],
    ),
    "steps_to_profile_that_are_no_steps": (
        "pipeline --profile_steps=20,10",
        ["--profile_steps", "a first and a last step"],
    ),
}
