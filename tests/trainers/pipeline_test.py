"""The pipeline from end to end: results, resuming, record."""

import json
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import hydra_tf.layers  # noqa: F401  Registers what the checkpoints hold.
from hydra_tf.registry.attacks import ATTACKS
from tests.trainers import binaries

PHASES = ("pretrain", "prune", "finetune")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of data sets of one's own."""
    return f"--data_dir={tmp_path_factory.mktemp('tfds')}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir):
    """The folder of an uninterrupted run, compared with LWM."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    code = binaries.run(
        "pipeline",
        *binaries.TINY,
        data_dir,
        f"--output_dir={folder}",
        "--compare=lwm",
        "--tensorboard_images=1",
    )
    assert code == 0
    return folder


def weights(folder, phase):
    """Returns what a finished phase's file holds, by name."""
    path = folder / "checkpoints" / f"{phase}.keras"
    model = keras.saving.load_model(path, compile=False)
    return {variable.path: variable.numpy() for variable in model.variables}


def assert_equal_networks(first, second, phases=PHASES):
    for phase in phases:
        one, other = weights(first, phase), weights(second, phase)
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], f"{phase} {name}")


def metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_folder_holds_what_it_should(whole):
    names = {
        entry.name
        for entry in whole.iterdir()
        if not entry.name.startswith(".")
    }
    assert names == {
        "checkpoints",
        "compare",
        "densities.png",
        "events",
        "flags.txt",
        "metrics.json",
        "README.md",
        "saved_model",
    }
    assert {path.name for path in (whole / "checkpoints").iterdir()} == {
        f"{phase}.{suffix}"
        for phase in PHASES
        for suffix in ("keras", "history.json", "settings.json")
    }


def test_metrics_hold_every_figure_and_its_conditions(whole):
    record = metrics(whole)
    assert set(record["phases"]) == set(PHASES)
    for phase, epochs in zip(PHASES, (2, 3, 2), strict=True):
        entry = record["phases"][phase]
        assert 0 <= entry["robust_accuracy"]["pgd"] <= entry["natural_accuracy"]
        assert entry["num_examples"] == 40
        assert entry["epochs"] == len(entry["history"]) == epochs
        assert {"loss", "natural_accuracy", "robust_accuracy"} <= set(
            entry["history"][0]
        )
        assert entry["attacks"]["pgd"]["num_steps"] == 2
    assert record["attacks"]["pgd"]["num_steps"] == 2
    assert record["attacks"]["pgd"]["epsilon"] == 0.15
    assert record["run"]["seed"] == 3
    assert record["environment"]["tensorflow"] == tf.__version__
    assert record["dataset"]["num_train"] == 144
    assert record["artifacts"]["saved_model"]["bytes"] > 0


def test_metrics_and_card_hold_the_table_of_methods(whole):
    record = metrics(whole)
    other = metrics(whole / "compare" / "lwm")
    table = record["comparison"]
    assert list(table) == ["before pruning", "hydra", "lwm"]
    for method, phases in (("hydra", record), ("lwm", other)):
        entry, result = table[method], phases["phases"]["finetune"]
        assert entry["natural_accuracy"] == result["natural_accuracy"]
        assert entry["robust_accuracy"] == result["robust_accuracy"]
        assert entry["density"] == phases["sparsity"]["density"]
        size = phases["artifacts"]["saved_model"]["bytes"]
        assert entry["saved_model"]["bytes"] == size
    card = (whole / "README.md").read_text()
    assert "## Methods compared" in card and "| lwm, density 0.2 |" in card
    assert "comparison" not in other


def test_metrics_say_what_is_at_chance_level(whole):
    for phase in metrics(whole)["phases"].values():
        # The most frequent class of the first 40 test images.
        assert 0.1 <= phase["chance_level"] <= 0.3
        assert set(phase["not_above_chance"]) <= {"natural_accuracy", "pgd"}


def test_exactly_the_density_is_left(whole):
    sparsity = metrics(whole)["sparsity"]
    # ceil(0.2 n) of each layer's n weights.
    for layer in sparsity["layers"]:
        assert layer["kept"] == -(-layer["weights"] // 5)
    assert sparsity["density"] == pytest.approx(0.2, abs=0.001)
    loaded = tf.saved_model.load(str(whole / "saved_model"))
    kernels = [
        value.numpy()
        for name, value in loaded.weights.items()
        if name.endswith("kernel")
    ]
    assert (
        sum(np.count_nonzero(kernel) for kernel in kernels)
        <= (sparsity["kept"])
    )


def test_method_compared_with_starts_from_the_same_network(whole):
    record = metrics(whole / "compare" / "lwm")
    assert record["run"]["method"] == "lwm"
    assert record["phases"]["prune"]["epochs"] == 0
    assert record["phases"]["finetune"]["epochs"] == 2
    assert (whole / "compare/lwm/saved_model/saved_model.pb").is_file()
    # The scores are scaled weights, so what is kept is what is large.
    model = keras.saving.load_model(
        whole / "compare/lwm/checkpoints/prune.keras", compile=False
    )
    pretrained = keras.saving.load_model(
        whole / "checkpoints/pretrain.keras", compile=False
    )
    name = pretrained.layers[-1].name
    kernel = np.abs(pretrained.get_layer(name).kernel.numpy())
    mask = np.asarray(model.get_layer(name).mask)
    assert kernel[mask == 1].min() >= kernel[mask == 0].max()


def test_events_hold_figures_and_images(whole):
    tags, hparams = set(), {}
    for path in (whole / "events" / "prune").glob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                tags.add(value.tag)
                if value.tag == "_hparams_/session_start_info":
                    content = HParamsPluginData.FromString(
                        value.metadata.plugin_data.content
                    )
                    hparams = content.session_start_info.hparams
    assert {
        "loss",
        "natural_accuracy",
        "robust_accuracy",
        "density",
        "learning_rate",
        "measured/natural_accuracy",
        "measured/robust_accuracy/pgd",
    } <= tags
    assert any("adversarial" in tag for tag in tags)
    assert hparams["phase"].string_value == "prune"
    assert hparams["objective"].string_value == "madry"
    assert hparams["density"].number_value == 0.2
    assert hparams["epochs"].number_value == 3


def test_finished_run_says_so_and_shows_the_table(whole, capfd):
    before = (whole / "metrics.json").read_bytes()
    # The same command, by way of the file that the run left.
    assert binaries.run("pipeline", f"--flagfile={whole / 'flags.txt'}") == 0
    out = capfd.readouterr().out
    assert "finished before; nothing to do" in out
    assert "hydra, density 0.2" in out and "lwm, density 0.2" in out
    assert (whole / "metrics.json").read_bytes() == before


def test_other_settings_in_the_same_folder_are_refused(whole, capfd):
    code = binaries.run(
        "pipeline", f"--flagfile={whole / 'flags.txt'}", "--density=0.3"
    )
    assert code == 2
    err = capfd.readouterr().err
    assert "--density=0.2, not --density=0.3" in err
    assert err.count("\n") == 1
    assert "--density=0.3" not in (whole / "flags.txt").read_text()


def wait_for(path, process):
    """Waits until a process has written a file."""
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("stops_before", [False, True])
def test_killed_and_stopped_runs_end_with_the_same_weights(
    stops_before, whole, tmp_path, data_dir, capfd
):
    command = (*binaries.TINY, data_dir, f"--output_dir={tmp_path / 'run'}")
    checkpoints = tmp_path / "run" / "checkpoints"
    if stops_before:
        stopped = binaries.start("pipeline", *command)
        wait_for(checkpoints / "pretrain.state.npz", stopped)
        stopped.send_signal(signal.SIGTERM)
        _, err = stopped.communicate(timeout=60)
        assert stopped.returncode == 128 + signal.SIGTERM
        assert "stopped by SIGTERM; run it again to resume at epoch" in err
        assert err.count("\n") == 1

    killed = binaries.start("pipeline", *command)
    wait_for(checkpoints / "prune.state.npz", killed)
    killed.kill()
    killed.communicate(timeout=60)
    assert not (checkpoints / "finetune.keras").exists()
    keras.saving.load_model(checkpoints / "pretrain.keras", compile=False)
    metrics(tmp_path / "run")

    assert binaries.run("pipeline", *command) == 0
    assert "resuming after epoch" in capfd.readouterr().out
    assert_equal_networks(whole, tmp_path / "run")
    assert not list(checkpoints.glob(".*partial*"))


@pytest.mark.slow
def test_phases_one_by_one_give_the_pipeline_s_network(
    whole, tmp_path, data_dir
):
    # The last two share a folder, and the last is asked for twice.
    source = []
    for phase, name in (
        ("pretrain", "dense"),
        ("prune", "sparse"),
        ("finetune", "sparse"),
        ("finetune", "sparse"),
    ):
        folder = tmp_path / name
        arguments = (*binaries.TINY, data_dir, *source)
        code = binaries.run(phase, *arguments, f"--output_dir={folder}")
        assert code == 0
        assert_equal_networks(whole, folder, [phase])
        assert phase in metrics(folder)["phases"]
        assert (folder / "saved_model" / "saved_model.pb").is_file()
        source = [f"--source={folder}"]
    assert metrics(folder)["sparsity"] == metrics(whole)["sparsity"]
    # The network to start from is not removed.
    code = binaries.run(
        "finetune", *arguments, f"--output_dir={folder}", "--overwrite"
    )
    assert code == 2
    assert_equal_networks(whole, folder, ["prune", "finetune"])


def test_loss_that_is_not_finite_stops_the_run(tmp_path, data_dir, capfd):
    code = binaries.run(
        "pretrain",
        *binaries.TINY,
        data_dir,
        "--learning_rate=1e30",
        f"--output_dir={tmp_path}",
    )
    assert code == 1
    err = capfd.readouterr().err
    assert "pretrain phase, epoch 1, step" in err
    assert "lower --learning_rate" in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "checkpoints").glob("*.keras"))
    assert not list((tmp_path / "checkpoints").glob("*.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["random", "snip", "lwm_multistep"])
def test_methods_run_through_the_same_commands(
    method, whole, tmp_path, data_dir
):
    code = binaries.run(
        "pipeline",
        *binaries.TINY,
        data_dir,
        f"--source={whole / 'checkpoints/pretrain.keras'}",
        f"--method={method}",
        "--prune_epochs=1",
        "--finetune_epochs=0",
        "--allocation=erk",
        "--pruning_rounds=2",
        # With the one device that there is.
        "--strategy=mirrored",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    record = metrics(tmp_path)
    assert record["sparsity"]["density"] == pytest.approx(0.2, abs=0.002)
    assert record["phases"]["prune"]["epochs"] == (method == "lwm_multistep")
    assert "finetune" not in record["phases"]


@pytest.mark.slow
def test_saved_model_and_run_are_evaluated_alike(
    whole, tmp_path, data_dir, capfd, monkeypatch
):
    square = ATTACKS.entry("square").fixed
    monkeypatch.setitem(square, "num_queries", 20)
    code = binaries.run(
        "evaluate",
        *binaries.TINY,
        data_dir,
        f"--source={whole},{whole / 'saved_model'}",
        "--eval_attacks=pgd,apgd,square",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    assert "phases" not in metrics(tmp_path)
    run, served = metrics(tmp_path)["networks"].values()
    for key in ("natural_accuracy", "robust_accuracy", "intervals"):
        assert run[key] == served[key]
    entry = metrics(whole)["phases"]["finetune"]
    assert run["natural_accuracy"] == entry["natural_accuracy"]
    assert run["robust_accuracy"]["pgd"] == entry["robust_accuracy"]["pgd"]
    assert "robust (square)" in capfd.readouterr().out


def test_export_writes_the_run_s_network(whole, tmp_path, data_dir):
    code = binaries.run(
        "export",
        *binaries.TINY,
        data_dir,
        f"--source={whole}",
        f"--output_dir={tmp_path}",
    )
    assert code == 0
    images = tf.random.uniform((2, 8, 8, 1))
    first, second = (
        tf.saved_model.load(str(folder / "saved_model"))
        .signatures["serving_default"](images=images)["logits"]
        .numpy()
        for folder in (whole, tmp_path)
    )
    np.testing.assert_array_equal(first, second)
    assert (tmp_path / "README.md").is_file()


def test_evaluation_in_a_run_s_folder_leaves_the_run_s_record(
    tmp_path, data_dir
):
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.SeparableConv2D(4, 3, name="separable"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    network.save(tmp_path / "own.keras")
    folder = tmp_path / "run"
    tiny = [flag for flag in binaries.TINY if not flag.startswith("--model")]
    arguments = [*tiny, data_dir, f"--output_dir={folder}"]
    pruned = binaries.run(
        "prune",
        *arguments,
        f"--source={tmp_path / 'own.keras'}",
        "--exclude=separable",
        "--method=lwm",
    )
    assert pruned == 0
    before = metrics(folder)
    assert len(before["sparsity"]["layers"]) == 1
    flagfile = (folder / "flags.txt").read_text()
    evaluated = binaries.run(
        "evaluate",
        *arguments,
        f"--source={folder}",
        "--epsilon=0.05",
    )
    assert evaluated == 0
    after = metrics(folder)
    attack = after["phases"].pop("evaluate")["attacks"]["pgd"]
    assert attack["epsilon"] == 0.05
    assert list(after.pop("networks")) == ["run"]
    assert after == before
    assert (folder / "flags.txt").read_text() == flagfile


def test_network_with_layers_that_have_no_mask_is_exported(tmp_path, data_dir):
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.SeparableConv2D(4, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    network.save(tmp_path / "own.keras")
    code = binaries.run(
        "export",
        "--dataset=digits",
        data_dir,
        f"--source={tmp_path / 'own.keras'}",
        f"--output_dir={tmp_path / 'run'}",
    )
    assert code == 0
    sparsity = metrics(tmp_path / "run")["sparsity"]
    assert sparsity["density"] == 1
    assert [layer["type"] for layer in sparsity["layers"]] == ["Dense"]
