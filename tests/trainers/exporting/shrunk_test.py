"""Exports of networks whose channels are cut out."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import hydra_tf as ht
from tests.pruning.shrinking.random_graphs import set_random_weights
from tests.trainers import binaries
from trainers.run import source


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return f"--data_dir={tmp_path_factory.mktemp('data')}"


def network():
    return set_random_weights(
        keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
                keras.layers.Flatten(),
                keras.layers.Dense(10, name="logits"),
            ]
        )
    )


def export(source, output, data_dir, *arguments):
    return binaries.run(
        "export",
        "--dataset=digits",
        data_dir,
        f"--source={source}",
        f"--output_dir={output}",
        *arguments,
    )


def record(folder):
    return json.loads((folder / "metrics.json").read_text())


def saved_model_logits(folder, images):
    saved = tf.saved_model.load(str(folder / "saved_model"))
    return saved.signatures["serving_default"](images=tf.constant(images))[
        "logits"
    ]


def test_the_folder_of_a_smaller_network_is_a_source(tmp_path, data_dir):
    masked = ht.to_masked(network(), granularity="channel", density=0.5)
    masked.save(tmp_path / "masked.keras")
    output = tmp_path / "out"
    export(tmp_path / "masked.keras", output, data_dir, "--shrink")
    assert source.find(str(output)) == output / "shrunk.keras"
    again = tmp_path / "again"
    export(output, again, data_dir)
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 1))
    images = images.astype("float32")
    np.testing.assert_allclose(
        saved_model_logits(again, images),
        saved_model_logits(output, images),
        atol=1e-5,
    )


def test_pruned_channels_are_cut_out_of_what_is_exported(
    tmp_path, data_dir, capfd
):
    masked = ht.to_masked(network(), granularity="filter", density=0.5)
    masked.save(tmp_path / "masked.keras")
    output = tmp_path / "out"
    assert export(tmp_path / "masked.keras", output, data_dir, "--shrink") == 0
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 1))
    images = images.astype("float32")
    expected = ht.strip_masks(masked)(images)
    np.testing.assert_allclose(
        saved_model_logits(output, images), expected, atol=1e-5
    )
    smaller = keras.models.load_model(output / "shrunk.keras")
    assert smaller.get_layer("conv").filters == 3
    np.testing.assert_allclose(smaller(images), expected, atol=1e-5)

    shrunk = record(output)["shrink"]
    conv, dense = 3 * 3 * 6 + 6, 6 * 6 * 6 * 10 + 10
    assert shrunk["before"]["weights"] == conv + dense
    assert shrunk["after"]["weights"] == (conv + dense - 10) // 2 + 10
    assert shrunk["after"]["flops"] == shrunk["before"]["flops"] // 2
    assert shrunk["before"]["flops"] == 2 * (36 * 3 * 3 * 6 + 6 * 6 * 6 * 10)
    assert min(shrunk[key]["seconds"] for key in ("before", "after")) > 0
    assert shrunk["batch_size"] == 1
    assert shrunk["largest_difference"] < 1e-5
    assert record(output)["sparsity"]["density"] == 0.5
    entry = record(output)["artifacts"]["shrunk"]
    assert entry == {
        "path": "shrunk.keras",
        "bytes": (output / "shrunk.keras").stat().st_size,
    }
    shown = capfd.readouterr().out
    assert "weights" in shown and "Largest difference" in shown

    # Exported once more as it is, nothing says that it is smaller.
    assert export(tmp_path / "masked.keras", output, data_dir) == 0
    assert record(output)["shrink"] is None
    assert not (output / "shrunk.keras").exists()


def test_the_batch_that_is_timed_is_a_flag(tmp_path, data_dir):
    model = network()
    kernel = model.get_layer("conv").kernel
    kernel.assign(kernel.numpy() * np.array([0, 1, 1, 1, 1, 0]))
    bias = model.get_layer("conv").bias
    bias.assign(np.array([-1.0, 0, 0, 0, 0, 2.0]))
    model.save(tmp_path / "plain.keras")
    flags = ("--shrink", "--shrink_batch_size=4")
    output = tmp_path / "out"
    assert export(tmp_path / "plain.keras", output, data_dir, *flags) == 0
    assert record(output)["shrink"]["batch_size"] == 4
    smaller = keras.models.load_model(output / "shrunk.keras")
    assert smaller.get_layer("conv").filters == 4


def test_a_network_that_hardly_gets_smaller_is_said_to(
    tmp_path, data_dir, capfd
):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(40, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
    kernel = set_random_weights(model).get_layer("logits").kernel
    kernel.assign(kernel.numpy() * (np.arange(40) > 0)[:, np.newaxis])
    model.save(tmp_path / "model.keras")
    output = tmp_path / "out"
    assert export(tmp_path / "model.keras", output, data_dir, "--shrink") == 0
    assert "Nearly all channels are in use" in capfd.readouterr().out
    smaller = keras.models.load_model(output / "shrunk.keras")
    assert smaller.get_layer("conv").filters == 39


@pytest.mark.parametrize("granularity", [None, "weight", "2:4"])
def test_spread_zeros_are_refused_in_one_line(
    granularity, tmp_path, data_dir, capfd
):
    model = network()
    if granularity:
        settings = {"density": 0.5} if granularity == "weight" else {}
        model = ht.to_masked(model, granularity=granularity, **settings)
    model.save(tmp_path / "model.keras")
    output = tmp_path / "out"
    code = export(tmp_path / "model.keras", output, data_dir, "--shrink")
    assert code == 2
    (line,) = [
        line
        for line in capfd.readouterr().err.splitlines()
        if line.startswith("export: ")
    ]
    assert "--shrink finds no channel to remove" in line
    assert "--granularity=channel or filter" in line
    assert not output.exists()


def test_a_batch_of_no_images_is_refused_before_anything_is_read(
    tmp_path, data_dir, capfd
):
    code = export(
        tmp_path / "none", tmp_path, data_dir, "--shrink_batch_size=0"
    )
    assert code == 2
    error = capfd.readouterr().err
    assert "--shrink_batch_size" in error and error.count("\n") == 1
