"""Images get the labels of a network, and train another."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from tests.trainers import binaries


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that tells dark from light, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("labels")
    network = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    kernel = np.array([[-1, 1]]) * np.ones((64, 1)) / 8
    network.set_weights([kernel, np.array([4.0, -4.0])])
    network.save(folder / "dark_or_light.keras")
    deeper = folder / "pictures" / "more"
    deeper.mkdir(parents=True)
    for place, grey in (
        (deeper.parent / "a.png", 0),
        (deeper.parent / "b.png", 255),
        (deeper.parent / "c.png", 131),
        (deeper / "d.png", 10),
    ):
        picture = tf.fill((20, 16, 3), np.uint8(grey))
        tf.io.write_file(str(place), tf.io.encode_png(picture))
    (deeper / "readme.txt").write_text("no picture")
    return folder


def run(folder, *arguments):
    return binaries.run(
        "pseudo_label",
        f"--source={folder}/dark_or_light.keras",
        f"--dataset=folder:{folder}/pictures",
        "--batch_size=3",
        *arguments,
    )


def test_pictures_get_the_classes_of_the_network(folder):
    path = folder / "all.npz"
    assert run(folder, f"--output={path}") == 0
    with np.load(path, allow_pickle=False) as file:
        assert file["images"].shape == (4, 8, 8, 1)
        assert file["images"][:, 0, 0, 0].tolist() == [0, 255, 131, 10]
        assert file["labels"].tolist() == [0, 1, 1, 0]
        assert np.all(file["confidences"] >= 0.5)
    train = data.from_arrays(np.zeros((4, 8, 8, 1)), [0, 1, 0, 1], batch_size=4)
    assert data.with_extra(train, path).num_extra == 4


def test_only_those_it_is_sure_of_are_kept(folder):
    path = "ram://pseudo_labels_test/sure.npz"
    assert run(folder, f"--output={path}", "--min_confidence=0.9") == 0
    with tf.io.gfile.GFile(path, "rb") as file:
        assert np.load(file)["labels"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--dataset=folder:{}/none", "is no folder"),
        ("--dataset=folder:", "is no folder"),
        ("--dataset=folder:{}/empty", "holds no pictures (.jpg"),
        ("--dataset=folder:{}/broken", "holds an image that cannot be read"),
        ("--min_confidence=0.9999999", "keeps none of the 4 images"),
        ("--min_confidence=90", "90 % is 0.9"),
        ("--output={}/labels.txt", "must be a path that ends in .npz"),
        ("--output=nosuch://bucket/x.npz", "no file system nosuch://"),
        ("--source={}/none.keras", "does not exist"),
    ],
)
def test_mistake_is_one_line_and_nothing_is_written(
    folder, tmp_path, capfd, argument, words
):
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "broken").mkdir(exist_ok=True)
    whole = (folder / "pictures" / "a.png").read_bytes()
    (folder / "broken" / "a.png").write_bytes(whole[:-20])
    code = run(folder, f"--output={tmp_path}/x.npz", argument.format(folder))
    err = capfd.readouterr().err
    assert code != 0
    assert err.startswith("pseudo_label: error: ") and err.count("\n") == 1
    assert words in err
    assert not [*tmp_path.iterdir()]
