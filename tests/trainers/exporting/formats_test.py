"""Exports in other formats than a SavedModel, measured."""

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf.registry.export import FORMATS
from tests.pruning.shrinking.random_graphs import set_random_weights
from tests.trainers import binaries


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Exports one network as the arguments say."""
    folder = tmp_path_factory.mktemp("export")
    network = set_random_weights(
        keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
                keras.layers.Flatten(),
                keras.layers.Dense(10, name="logits"),
            ]
        )
    )
    ht.to_masked(network, density=0.1).save(folder / "masked.keras")

    def run(*arguments):
        code = binaries.run(
            "export",
            "--dataset=digits",
            f"--data_dir={folder}",
            f"--source={folder / 'masked.keras'}",
            f"--output_dir={os.path.relpath(folder / 'out', binaries.ROOT)}",
            "--eval_epsilon=0.1",
            "--eval_examples=40",
            *arguments,
        )
        return code, folder / "out"

    return run


@pytest.mark.parametrize(
    "names",
    [
        ["litert_int8"],
        pytest.param(
            [name for name in FORMATS if name != "serving"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_formats_are_written_and_measured(export, capfd, names):
    code, folder = export(f"--formats={','.join(names)}")
    assert code == 0
    entries = json.loads((folder / "metrics.json").read_text())["formats"]
    assert list(entries) == names
    for name, entry in entries.items():
        path = folder / entry["path"]
        assert path.exists(), name
        assert entry["num_examples"] == 40
        assert entry["epsilon"] == 0.1
        assert 0 <= entry["square_accuracy"] <= entry["natural_accuracy"] <= 1
        assert [each["batch_size"] for each in entry["latencies"]] == [1, 32]
        if path.is_file():
            assert entry["bytes"] == path.stat().st_size
        # Nothing but rounding lies between floats in one format and another.
        assert entry["agreement"] >= (0.9 if "int8" in name else 0.97)
    out = capfd.readouterr().out
    card = (folder / "README.md").read_text()
    for name in entries:
        assert FORMATS[name].title in out
        assert f"| {FORMATS[name].title} |" in card


def test_the_layout_of_tensorflow_serving(export, capfd):
    # Asked for by name, a SavedModel has this layout, too.
    for version, name in ((1, "serving"), (2, "saved_model")):
        code, folder = export(f"--formats={name}", "--serving_name=digits")
        assert code == 0
        path = folder / "serving" / "digits" / str(version)
        assert f"digits/{version}\n" in capfd.readouterr().out
        artifacts = json.loads((folder / "metrics.json").read_text())
        assert (
            artifacts["artifacts"]["serving"]["path"]
            == f"serving/digits/{version}"
        )
        # What an earlier export measured is not of this network.
        assert not artifacts["formats"] and not (folder / "formats").exists()
        saved = tf.saved_model.load(str(path))
        logits = saved.signatures["serving_default"](
            images=tf.zeros((2, 8, 8, 1))
        )["logits"]
        assert logits.shape == (2, 10)
        assert (path / "assets.extra" / "tf_serving_warmup_requests").is_file()
        labels = (path / "assets" / "labels.txt").read_text().split()
        assert labels == [str(digit) for digit in range(10)]
    code, folder = export(
        "--formats=serving", "--serving_name=digits", "--serving_version=2"
    )
    assert code != 0
    error = capfd.readouterr().err
    assert "--serving_version=2 exists" in error and len(error.split("\n")) == 2
    (folder / "serving" / "digits" / "notes").touch()
    before = times_of(folder)
    for arguments, message in {
        ("--formats=serving", "--serving_name=digits"): "it holds notes",
        ("--formats=serving", "--serving_name=../up"): "--serving_name=../up",
        ("--formats=",): "--formats=: must name some of saved_model",
        (
            "--formats=onnx",
            "--vnnlib_images=1",
            "--eval_epsilon=0",
        ): "--vnnlib_images=1 needs a radius above 0",
        (
            "--formats=onnx",
            "--vnnlib_images=41",
        ): "--vnnlib_images=41 must be at most 40",
    }.items():
        assert export(*arguments)[0] == 2
        error = capfd.readouterr().err
        assert message in error and error.count("\n") == 1, error
    assert times_of(folder) == before


@pytest.mark.slow
def test_int8_ranges_come_from_training_images(export):
    _, folder = export("--formats=litert_int8")
    function = ht.export.litert_function(
        folder / "formats" / "litert_int8.tflite"
    )
    network = keras.models.load_model(folder.parent / "masked.keras")
    images = ht.data.load("digits", "test", batch_size=8).arrays(30)[0]
    wanted = network(images, training=False).numpy()
    # 256 steps of the widest logit.
    assert np.abs(function(images) - wanted).max() < np.ptp(wanted) / 10


def test_properties_of_images_lie_beside_the_onnx_file(export, capfd):
    pytest.importorskip("onnx")
    code, folder = export("--formats=onnx", "--vnnlib_images=2")
    assert code == 0
    place = folder / "formats" / "vnnlib"
    rows = [
        line.split(",")
        for line in (place / "instances.csv").read_text().split()
    ]
    assert [row[1] for row in rows] == ["image0.vnnlib", "image1.vnnlib"]
    for network, name, _ in rows:
        assert (place / network).resolve() == folder / "formats" / "onnx.onnx"
        assert "Linf radius 0.1" in (place / name).read_text()
    assert "VNN-LIB: 2 properties" in capfd.readouterr().out


def test_what_cannot_be_converted_leaves_the_folder_as_it_was(
    export, tmp_path, capfd
):
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="logits", dtype="mixed_bfloat16"),
        ]
    )
    network.save(tmp_path / "network.keras")
    code, folder = export()
    assert code == 0
    before = times_of(folder)
    capfd.readouterr()
    code, _ = export(
        f"--source={tmp_path / 'network.keras'}", "--formats=serving,litert"
    )
    assert code == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "--formats=litert: --source=" in err and "bfloat16" in err
    assert times_of(folder) == before


def times_of(folder):
    """Returns when each file was written."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in paths}
