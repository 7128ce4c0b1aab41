"""`trainers.inspect`: what files and folders are."""

import os
import shutil
import subprocess
import sys

import keras
import pytest
import tensorflow as tf

import hydra_tf as ht
from hydra_tf import files
from hydra_tf.errors import InputError
from tests.export import networks
from tests.trainers import binaries
from trainers.inspection.inspect_source import describe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    masked = networks.pruned(density=0.1)
    masked.save(folder / "of_no_phase.keras")
    ht.set_phase(masked, "finetune")
    masked.save(folder / "masked.keras")
    ht.strip_masks(masked).save(folder / "plain.keras")
    for _ in range(2):
        ht.export.export_serving(
            masked, folder / "served", images=networks.images(2)
        )
    for name, sparse in (("dense", False), ("sparse", True)):
        ht.export.export_litert(
            masked, folder / f"{name}.tflite", sparse=sparse
        )
    return folder


def density_of(description):
    """Returns the density in the last line of the table."""
    line = description.parts[0].strip().splitlines()[-1]
    return line.split("  ")[-1].strip()


def test_a_masked_network(folder):
    found = describe(folder / "masked.keras")
    assert found.facts["what"] == "Keras model, masked"
    assert found.facts["phase"] == "finetune"
    assert found.facts["versions"] == f"keras {keras.__version__}"
    assert "[0, 1]" in found.facts["input range"]
    assert "pointwise" in found.parts[0]
    assert describe(folder / "of_no_phase.keras").facts["phase"] == "none"


def test_files_of_one_network_have_its_density(folder):
    paths = [
        folder / "plain.keras",
        folder / "served",
        folder / "served" / "1",
        folder / "dense.tflite",
        folder / "sparse.tflite",
    ]
    lines = {
        path.name: describe(path).parts[0].splitlines()[-1].split()
        for path in paths
    }
    # Weights, of which are not zero, density.
    assert len({tuple(line[1:4]) for line in lines.values()}) == 1, lines


def test_what_each_kind_is_called(folder):
    for name, what in {
        "plain.keras": "Keras model",
        "served": "TensorFlow Serving's versions 1, 2; this is the last",
        "served/1": "SavedModel",
        "dense.tflite": "LiteRT (TensorFlow Lite) file",
    }.items():
        assert describe(folder / name).facts["what"] == what
    assert describe(folder / "served").facts["warm-up requests"] == "4"
    assert describe(folder / "served").facts["path"].endswith("served/2")
    sparse = describe(folder / "sparse.tflite").facts["sparse"]
    dense = describe(folder / "dense.tflite").facts["sparse"]
    assert dense.startswith("0 of 4") and not sparse.startswith("0")


def test_an_onnx_file(folder):
    pytest.importorskip("tf2onnx")
    ht.export.export_onnx(networks.pruned(), folder / "network.onnx")
    found = describe(folder / "network.onnx")
    assert found.facts["inputs"] == "images (None, 8, 8, 3)"
    assert found.parts[0].splitlines()[-1].split()[-2:] == ["25.0", "%"]


def test_a_run_as_the_binary_shows_it(folder, tmp_path, capfd):
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="logits"),
        ]
    )
    network.save(tmp_path / "network.keras")
    assert not binaries.run(
        "export",
        "--dataset=digits",
        f"--source={tmp_path / 'network.keras'}",
        f"--output_dir={tmp_path / 'out'}",
    )
    capfd.readouterr()
    assert not binaries.run("inspect", f"--source={tmp_path / 'out'}")
    out = capfd.readouterr().out
    assert "folder of export" in out
    assert "digits" in out and "8 x 8 x 1" in out and "tensorflow 2." in out
    assert "serving_default (images" in out and "logits/kernel" in out


def test_a_checkpoint_has_what_its_run_says(folder, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "finetune.keras"
    shutil.copy(folder / "masked.keras", path)
    files.write_json(
        tmp_path / "metrics.json",
        {
            "run": {"objective": "trades", "epsilon": 0.1},
            "phases": {"finetune": {"natural_accuracy": 0.75}},
        },
    )
    found = describe(path)
    assert found.facts["objective"] == "trades"
    assert "75.0 %" in found.parts[-1]


def test_files_of_others(tmp_path):
    """Of other inputs than images, not built, or by Keras' own exporter."""

    class Gather(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((2,), tf.int32)])
        def rows(self, i):
            return tf.gather(tf.reshape(tf.range(6.0), (2, 3)), i)

    module = Gather()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.rows.get_concrete_function()], module
    )
    (tmp_path / "gather.tflite").write_bytes(converter.convert())
    found = describe(tmp_path / "gather.tflite")
    assert "int32 (2,)" in found.facts["inputs"]
    network = keras.Sequential([keras.layers.Dense(2, name="dense")])
    network.save(tmp_path / "unbuilt.keras")
    assert describe(tmp_path / "unbuilt.keras").facts["inputs"] == "not built"
    network.build((None, 3))
    network.export(tmp_path / "exported", verbose=False)
    assert "3 x 2" in describe(tmp_path / "exported").parts[0]


def test_what_is_unknown_is_refused(folder, tmp_path, capfd):
    assert binaries.run("inspect")
    assert "--source: is required" in capfd.readouterr().err
    (tmp_path / "text.txt").write_text("no network")
    (tmp_path / "broken.tflite").write_text("no network")
    (tmp_path / "broken.keras").write_text("no network")
    for name, message in {
        "": "is no run.*give what is in it: broken.keras, broken.tflite",
        "text.txt": "ends in .keras, .onnx, .tflite",
        "missing": "does not exist",
        "broken.tflite": "must be a LiteRT file",
        "broken.keras": "cannot be",
    }.items():
        with pytest.raises(InputError, match=message):
            describe(tmp_path / name)


def test_programs_run_by_their_path_have_the_standard_library():
    # Its module of the same name.
    done = subprocess.run(
        [sys.executable, "trainers/evaluate.py", "--help"],
        cwd=binaries.ROOT,
        env={**os.environ, "PYTHONPATH": str(binaries.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--source:" in done.stdout
