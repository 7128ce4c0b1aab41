"""Files and folders that are damaged, of another kind, or out of reach."""

import json

import numpy as np

import hydra_tf as ht
from hydra_tf.evaluation import CertificationSettings
from hydra_tf.evaluation import table_of
from hydra_tf.evaluation.certificates import column
from hydra_tf.training.checkpoints import PhaseCheckpoints
from hydra_tf.training.checkpoints import save_state

LONG = "x" * 300


def below(folder, files):
    """Writes files; a folder has no content."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)


def begun(folder, **changed):
    """Writes a pretrain phase that was begun, with some files changed."""
    kept = PhaseCheckpoints(folder, "pretrain")
    kept.begin({"seed": 0})
    save_state(kept.state, [], epoch=1)
    kept.write_history([{"epoch": 1, "seconds": 0.5}])
    for name, content in changed.items():
        if name == "state":
            content(kept.state)
        else:
            path = folder / "checkpoints" / f"pretrain.{name}.json"
            path.write_text(content)


def state_with(**arrays):
    """Returns what writes such arrays in place of a state."""
    return lambda path: np.savez(path, **({"epoch": 1} | arrays))


def state_flipped(path):
    """Changes the compression in a state's directory."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 10] ^= 64
    path.write_bytes(content)


def state_empty(path):
    path.write_bytes(b"")


def run_phase(given, folder, **settings):
    network = settings.pop("network", None) or given.network()
    ht.training.run_phase(
        network,
        "pretrain",
        (given.images, given.labels),
        given.objective(),
        folder=folder,
        **{"epochs": 1, **settings},
    )


def resumed(**changed):
    """Returns a phase that is resumed where files were changed."""

    def mistake(given):
        begun(given.folder, **changed)
        run_phase(given, given.folder)

    return mistake


def in_folder(name, **files):
    """Returns a phase begun in a folder beside files."""

    def mistake(given):
        below(given.folder, files)
        run_phase(given, given.folder / name)

    return mistake


def network_cut_off(given):
    run_phase(given, given.folder, epochs=0)
    path = given.folder / "checkpoints" / "pretrain.keras"
    path.write_bytes(path.read_bytes()[:-100])
    run_phase(given, given.folder, epochs=0)


def slash_in_a_name(given):
    network = given.network()
    network.layers[-1].name = "head/last"
    run_phase(given, given.folder, network=network)


def evaluated(state, content=None):
    """Returns an evaluation that is resumed from a file."""

    def mistake(given):
        if content is not None:
            below(given.folder, {"state.json": content})
        ht.evaluation.evaluate(
            given.network(),
            given.images,
            given.labels,
            attacks=[],
            state=given.folder / state,
        )

    return mistake


def certified(change=None, path="certify.tsv"):
    """Returns a certification whose table was changed."""

    def mistake(given):
        settings = CertificationSettings(method="smoothing", radii=[0.5])
        if change is not None:
            table = table_of(given.folder / path, settings, {"network": "own"})
            for index in range(2):
                table.append(
                    {
                        "index": index,
                        "label": index,
                        "prediction": 1,
                        "radius": 0.75,
                        column(0.5): 1,
                        "seconds": 0.5,
                    }
                )
            text = (given.folder / path).read_text()
            assert change[0] in text
            (given.folder / path).write_text(text.replace(*change))
        ht.evaluation.certify(
            given.network(),
            given.images,
            given.labels,
            settings,
            table=given.folder / path,
            identity={"network": "own"},
        )

    return mistake


def exported(path, **files):
    """Returns an export to a place that is taken."""

    def mistake(given):
        below(given.folder, files)
        ht.export_saved_model(given.network(), given.folder / path)

    return mistake


PYTHON = {
    "files_folder_too_long": (
        in_folder(LONG),
        ["`folder`=", "File name too long", "a shorter path"],
    ),
    "files_folder_below_a_file": (
        in_folder("notes/run", notes="mine"),
        ["`folder`=", "notes is not a folder"],
    ),
    "files_folder_is_a_file": (
        in_folder("notes", notes="mine"),
        ["`folder`=", "notes is not a folder"],
    ),
    "files_folder_with_a_null_byte": (
        lambda given: run_phase(given, "a\0b"),
        ["`folder`=", "null byte"],
    ),
    "files_checkpoints_is_a_file": (
        in_folder("", checkpoints="mine"),
        ["`folder`=", "checkpoints is not a folder"],
    ),
    "files_state_empty": (
        resumed(state=state_empty),
        ["pretrain.state.npz cannot be read", "delete it"],
    ),
    "files_state_flipped": (
        resumed(state=state_flipped),
        ["pretrain.state.npz cannot be read", "delete it"],
    ),
    "files_state_epoch_a_vector": (
        resumed(state=state_with(epoch=[1, 2])),
        ["pretrain.state.npz cannot be read", "`overwrite`"],
    ),
    "files_state_epoch_below_0": (
        resumed(state=state_with(epoch=-1)),
        ["pretrain.state.npz", "not the state of a phase"],
    ),
    "files_state_weights_nan": (
        resumed(state=state_with(**{"00000": np.float32([np.nan])})),
        ["pretrain.state.npz", "no finite numbers", "delete it"],
    ),
    "files_state_without_epoch": (
        resumed(state=lambda path: np.savez(path, weights=[1.0])),
        ["pretrain.state.npz cannot be read", "epoch"],
    ),
    "files_history_an_object": (
        resumed(history="{}"),
        ["pretrain.history.json", "must be a list, not an object"],
    ),
    "files_history_of_numbers": (
        resumed(history="[1, 2]"),
        ["pretrain.history.json", "`[0]` must be an object"],
    ),
    "files_history_without_seconds": (
        resumed(history='[{"epoch": 1}]'),
        ["pretrain.history.json", "`[0]` lacks `seconds`"],
    ),
    "files_history_of_words": (
        resumed(history='[{"epoch": 1, "seconds": 1, "loss": "low"}]'),
        ["pretrain.history.json", "`[0].loss` must be a number"],
    ),
    "files_history_cut_off": (
        resumed(history='[{"epoch": 1, "sec'),
        ["pretrain.history.json cannot be read as JSON", "delete it"],
    ),
    "files_settings_a_list": (
        resumed(settings="[]"),
        ["pretrain.settings.json", "must be an object", "`overwrite`"],
    ),
    "files_settings_null": (
        resumed(settings="null"),
        ["pretrain.settings.json", "must be an object, not null"],
    ),
    "files_settings_empty": (
        resumed(settings=""),
        ["pretrain.settings.json cannot be read as JSON", "`overwrite`"],
    ),
    "files_settings_of_nothing": (
        resumed(settings="{}"),
        ["pretrain.settings.json", "was begun with", "`overwrite`"],
    ),
    "files_network_cut_off": (
        network_cut_off,
        ["pretrain.keras", "is damaged; delete it"],
    ),
    "files_layer_name_with_a_slash": (
        slash_in_a_name,
        ["'head/last'", "'head_last'"],
    ),
    "files_evaluation_state_a_list": (
        evaluated("state.json", "[]"),
        ["state.json cannot be used", "must be an object", "delete it"],
    ),
    "files_evaluation_state_empty": (
        evaluated("state.json", ""),
        ["state.json cannot be read", "no evaluation to resume"],
    ),
    "files_evaluation_state_changed": (
        evaluated(
            "state.json",
            json.dumps(
                {"settings": {}, "seconds": 1, "parts": {}, "checksum": "0"}
            ),
        ),
        ["state.json was changed", "delete it"],
    ),
    "files_evaluation_state_below_a_file": (
        evaluated("state.json/more.json", "{}"),
        ["`state`=", "state.json is not a folder"],
    ),
    "files_table_changed": (
        certified(("0.75", "0.85")),
        ["certify.tsv, line 3, was changed", "delete the file"],
    ),
    "files_table_of_other_settings": (
        certified(('"sigma": 0.25', '"sigma": 0.5')),
        ["certify.tsv was written with other settings", "sigma 0.5"],
    ),
    "files_table_without_settings": (
        certified(("# ", "")),
        ["certify.tsv is there, but is no table to resume"],
    ),
    "files_table_below_a_file": (
        lambda given: (
            below(given.folder, {"notes": "mine"}),
            certified(path="notes/certify.tsv")(given),
        ),
        ["notes", "not a folder"],
    ),
    "files_export_below_a_file": (
        exported("notes/model", notes="mine"),
        ["`path`=", "notes is not a folder"],
    ),
    "files_export_to_a_file": (
        exported("notes", notes="mine"),
        ["`path`", "notes, which holds something else"],
    ),
    "files_export_to_a_long_name": (
        exported(LONG),
        ["`path`=", "File name too long"],
    ),
}


def run_with(**files):
    """Returns what writes the folder of a run with some files of others."""
    named = {
        f"run/{name.replace('_json', '.json')}": content
        for name, content in {".lock": "", **files}.items()
    }
    return lambda folder: below(folder, named)


def run_begun(**changed):
    """Returns what writes the folder of a run whose files were changed."""

    def prepare(folder):
        below(folder / "run", {".lock": ""})
        begun(folder / "run", **changed)

    return prepare


def flagfiles(**files):
    return lambda folder: below(folder, files)


PRETRAIN = "pretrain --model=digits_model"

COMMANDS = {
    "files_run_checkpoints_is_a_file": (
        (run_with(checkpoints="mine"), PRETRAIN),
        ["--output_dir=", "checkpoints that is no folder"],
    ),
    "files_run_saved_model_is_a_file": (
        (run_with(saved_model="mine"), PRETRAIN),
        ["--output_dir=", "saved_model that is no folder"],
    ),
    "files_run_saved_model_of_others": (
        (run_with(**{"saved_model/letter": "mine"}), PRETRAIN),
        ["saved_model, which holds something else"],
    ),
    "files_run_metrics_is_a_folder": (
        (run_with(metrics_json=None), PRETRAIN),
        ["--output_dir=", "metrics.json that is no file"],
    ),
    "files_run_of_others": (
        (run_with(thesis="mine"), PRETRAIN),
        ["--output_dir=", "no run of these programs"],
    ),
    "files_run_is_a_file": (
        (flagfiles(run="mine"), PRETRAIN),
        ["--output_dir=", "run is a file; name a folder"],
    ),
    "files_run_below_a_file": (
        (
            flagfiles(notes="mine"),
            PRETRAIN + " --output_dir={folder}/notes/run",
        ),
        ["--output_dir=", "notes is not a folder"],
    ),
    "files_run_too_long": (
        PRETRAIN + " --output_dir={folder}/" + LONG,
        ["--output_dir=", "File name too long; give a shorter path"],
    ),
    "files_source_too_long": (
        "prune --source={folder}/" + LONG,
        ["--source=", "does not exist"],
    ),
    "files_metrics_a_list": (
        (run_with(metrics_json="[]"), PRETRAIN),
        ["metrics.json cannot be used", "must be an object, not a list"],
    ),
    "files_metrics_a_number": (
        (run_with(metrics_json="3"), PRETRAIN),
        ["metrics.json", "must be an object, not an integer", "delete it"],
    ),
    "files_metrics_null": (
        (run_with(metrics_json="null"), PRETRAIN),
        ["metrics.json", "must be an object, not null"],
    ),
    "files_metrics_phases_a_list": (
        (run_with(metrics_json='{"phases": ["pretrain"]}'), PRETRAIN),
        ["metrics.json", "`phases` must be an object, not a list"],
    ),
    "files_metrics_accuracy_a_string": (
        (
            run_with(
                metrics_json='{"phases": {"a": {"natural_accuracy": "high"}}}'
            ),
            "pipeline --model=digits_model",
        ),
        ["metrics.json", "`phases.a.natural_accuracy` must be a number"],
    ),
    "files_metrics_cut_off": (
        (run_with(metrics_json='{"phases": {'), PRETRAIN),
        ["metrics.json cannot be read as JSON", "delete it"],
    ),
    "files_run_state_empty": (
        (run_begun(state=state_empty), PRETRAIN),
        ["pretrain.state.npz cannot be read", "--overwrite"],
    ),
    "files_run_state_flipped": (
        (run_begun(state=state_flipped), PRETRAIN),
        ["pretrain.state.npz cannot be read", "--overwrite"],
    ),
    "files_run_state_nan": (
        (
            run_begun(state=state_with(**{"00000": np.float32([np.nan])})),
            "pipeline --model=digits_model",
        ),
        ["pretrain.state.npz holds weights that are no finite numbers"],
    ),
    "files_run_history_a_string": (
        (run_begun(history='"good"'), PRETRAIN),
        ["pretrain.history.json", "must be a list, not a string"],
    ),
    "files_run_settings_a_list": (
        (run_begun(settings="[1]"), PRETRAIN),
        ["pretrain.settings.json", "must be an object", "--overwrite"],
    ),
    "files_flagfile_of_itself": (
        (
            lambda folder: below(
                folder, {"own": f"--seed=1\n--flagfile={folder}/own\n"}
            ),
            PRETRAIN + " --flagfile={folder}/own",
        ),
        ["flag --flagfile=", "own: the file includes itself"],
    ),
    "files_flagfile_is_a_folder": (
        PRETRAIN + " --flagfile={folder}",
        ["flag --flagfile=", "Is a directory"],
    ),
    "files_flagfile_is_no_text": (
        (flagfiles(own=b"\xff\xfe"), PRETRAIN + " --flagfile={folder}/own"),
        ["flag --flagfile=", "no text in UTF-8"],
    ),
    "files_flagfile_missing": (
        PRETRAIN + " --flagfile={folder}/own",
        ["flag --flagfile=", "there is no such file"],
    ),
}
