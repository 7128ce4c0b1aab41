"""Training on ImageNet's images, here a few of them, and the default number."""

import json

import keras
import numpy as np
import pytest

from hydra_tf.errors import InputError
from tests.data import drawn
from tests.data import fake_imagenet
from tests.flags import command_line
from tests.trainers import binaries
from trainers.run import datasets


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    fake_imagenet.write(folder)
    return folder


def tiny_network(input_shape, num_classes):
    """Returns a network of large strides, for `--model`."""
    return keras.Sequential(
        [
            keras.layers.Input(input_shape),
            keras.layers.Conv2D(4, 32, strides=32, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(num_classes),
        ]
    )


@pytest.mark.slow
def test_recipe_runs_to_the_end(data_dir, tmp_path):
    code = binaries.run(
        "pipeline",
        "--preset=harp/imagenet_resnet50_pgd_at",
        "--model=tests.trainers.imagenet_test:tiny_network",
        f"--data_dir={data_dir}",
        f"--output_dir={tmp_path / 'run'}",
        "--batch_size=8",
        "--fraction=0.6",
        "--density=0.5",
        "--pretrain_epochs=1",
        "--prune_epochs=1",
        "--finetune_epochs=1",
        "--num_steps=1",
        "--eval_num_steps=1",
        "--eval_num_restarts=1",
        "--eval_examples=4",
        "--progress=none",
    )
    assert code == 0
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record["dataset"]["name"] == "imagenet2012"
    assert record["dataset"]["image_shape"] == [224, 224, 3]
    assert record["dataset"]["num_train"] == 14
    assert record["dataset"]["num_evaluated"] == 4
    assert record["dataset"]["augmented"]
    assert set(record["phases"]) == {"pretrain", "prune", "finetune"}


@pytest.mark.slow
def test_recipe_with_free_at_runs_on_a_folder_of_pictures(tmp_path):
    for part, count, seed in (("train", 18, 1), ("val", 9, 2)):
        for number, pixels in enumerate(fake_imagenet.images(count, seed)):
            name = f"n{number % 3:08d}"
            path = tmp_path / "imagenet" / part / name / f"{number}.JPEG"
            drawn.save(path, pixels, format="JPEG")
    code = binaries.run(
        "pipeline",
        "--preset=hydra/imagenet_resnet50_free_at",
        f"--dataset=folder:{tmp_path / 'imagenet'}",
        "--model=tests.trainers.imagenet_test:tiny_network",
        f"--output_dir={tmp_path / 'run'}",
        "--batch_size=8",
        "--density=0.5",
        "--pretrain_epochs=1",
        "--prune_epochs=1",
        "--finetune_epochs=1",
        "--n_repeats=2",
        "--eval_attacks=pgd",
        "--eval_num_steps=1",
        "--eval_num_restarts=1",
        "--eval_examples=4",
        "--progress=none",
    )
    assert code == 0
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record["dataset"]["image_shape"] == [224, 224, 3]
    assert record["dataset"]["num_train"] == 18
    assert record["dataset"]["augmented"]
    assert set(record["phases"]) == {"pretrain", "prune", "finetune"}
    network = keras.saving.load_model(
        tmp_path / "run" / "checkpoints" / "finetune.keras", compile=False
    )
    assert network.layers[0].name == "normalization"


def test_few_test_images_are_taken_unless_told_otherwise(
    data_dir, monkeypatch, capfd
):
    monkeypatch.setattr(datasets, "_FEW", 3)

    def settings(folder):
        arguments = ("--dataset=imagenet2012", f"--data_dir={folder}")
        return command_line.parse(*arguments).data

    images, labels = datasets.test_arrays(settings(data_dir), None)
    assert images.shape == (3, 224, 224, 3)
    assert capfd.readouterr().out == (
        "imagenet2012: taking the first 3 of 50000 test images\n"
    )
    told, _ = datasets.test_arrays(settings(data_dir), 5)
    assert capfd.readouterr().out == ""
    np.testing.assert_array_equal(told[:3], images)
    assert len(told) == 5
    (data_dir / "no").mkdir()
    with pytest.raises(InputError, match="downloaded by hand"):
        datasets.test_arrays(settings(data_dir / "no"), 5)
