"""A folder of one's own pictures as a dataset."""

import os

import numpy as np
import pytest

from hydra_tf import data
from hydra_tf import files
from hydra_tf.data import loading
from hydra_tf.errors import InputError
from tests.data import drawn


def load(path, split="train", **settings):
    settings = {"batch_size": 2, "image_size": 16} | settings
    return data.load(f"folder:{path}", split, **settings)


def test_classes_are_folders_in_order_of_their_names(tmp_path):
    drawn.folder(tmp_path / "train", each=4)
    drawn.folder(tmp_path / "val", each=2, first=4)
    # A class that nothing tests.
    for path in (tmp_path / "val" / "bar").iterdir():
        path.unlink()
    train, test = load(tmp_path), load(tmp_path, "test")
    assert train.class_names == test.class_names == drawn.CLASSES
    assert (len(train), len(test)) == (12, 4)
    assert train.image_shape == (16, 16, 3)
    assert sorted(train.arrays()[1]) == [0] * 4 + [1] * 4 + [2] * 4
    assert sorted(test.arrays()[1]) == [1, 1, 2, 2]
    images, _ = train.arrays()
    assert images.dtype == np.float32
    assert 0 <= images.min() < 0.3 < 0.7 < images.max() <= 1
    np.testing.assert_array_equal(load(tmp_path, "val").arrays()[0],
                                  test.arrays()[0])  # fmt: skip


def test_pictures_are_those_of_their_classes(tmp_path):
    drawn.folder(tmp_path / "train", each=3)
    drawn.folder(tmp_path / "test", each=1)
    images, labels = load(tmp_path, image_size=(20, 20)).arrays()
    for image, label in zip(images, labels, strict=True):
        # Beside the vertical bar, and above the horizontal one.
        assert (image[6, 6].mean() > 0.5) == (label == 2)
        assert (image[10, 7].mean() > 0.5) == (label != 0)


def test_folder_may_be_remote(tmp_path):
    drawn.folder(tmp_path / "train", each=2)
    drawn.folder(tmp_path / "test", each=1)
    remote = files.as_path("ram://folders_test/pictures")
    remote.upload(tmp_path)
    found = load(remote)
    for one, other in zip(found.arrays(), load(tmp_path).arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert found.class_names == drawn.CLASSES
    with pytest.raises(InputError, match=r"has 2\dx2\d"):
        load(remote, image_size=None)
    files.write_text(remote / "train" / "bar" / "8.jpg", "none")
    with pytest.raises(InputError, match="8.jpg"):
        load(remote)


def test_part_is_held_out_the_same_for_every_seed(tmp_path):
    drawn.folder(tmp_path, each=5)
    drawn.save(tmp_path / "rare" / "only.png", drawn.picture("bar", 9))
    train, test = load(tmp_path, seed=1), load(tmp_path, "test", seed=2)
    counts = np.bincount(test.arrays()[1], minlength=4)
    # A fifth of 16, rounded up; the class of one picture is trained on.
    assert sorted(counts) == [0, 1, 1, 2]
    assert counts[test.class_names.index("rare")] == 0
    assert (np.bincount(train.arrays()[1]) + counts).tolist() == [5, 5, 1, 5]
    images = np.concatenate([train.arrays()[0], test.arrays()[0]])
    assert len(np.unique(images.reshape(16, -1), axis=0)) == 16
    half = load(tmp_path, "test", test_fraction=0.5)
    assert len(half) == 7


def test_first_pictures_are_of_all_classes(tmp_path):
    drawn.folder(tmp_path / "train", each=5)
    drawn.folder(tmp_path / "test", each=5)
    _, labels = load(tmp_path, "test").arrays(6)
    assert np.bincount(labels).tolist() == [2, 2, 2]
    assert np.bincount(load(tmp_path, fraction=0.4).arrays()[1]).tolist() == [
        2,
        2,
        2,
    ]


def test_batches_are_the_same_from_memory_and_from_files(tmp_path, monkeypatch):
    drawn.folder(tmp_path, each=5)
    settings = {"augment": data.CropFlip(2), "seed": 4}
    cached = load(tmp_path, **settings)
    whole = list(cached.dataset(num_epochs=3))
    monkeypatch.setattr(loading, "fits_memory", lambda *_: False)
    streamed = load(tmp_path, **settings)
    # Resumed at the third epoch.
    rest = list(streamed.dataset(first_epoch=2))
    for one, other in zip(whole[-len(rest) :], rest, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_what_is_no_picture_does_not_count(tmp_path):
    drawn.folder(tmp_path, each=3)
    before = data.info(f"folder:{tmp_path}", image_size=8)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "bar" / "labels.csv").write_text("1")
    (tmp_path / "bar" / ".hidden.png").write_bytes(b"")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    assert data.info(f"folder:{tmp_path}", image_size=8) == before
    assert before.num_classes == 3
    assert before.class_names == drawn.CLASSES
    assert before.num_train + before.num_test == 9


def test_content_is_told_from_another(tmp_path):
    def content():
        return data.info(f"folder:{tmp_path}", image_size=8).content

    drawn.folder(tmp_path, each=3)
    found = [content()]
    drawn.save(tmp_path / "bar" / "new.png", drawn.picture("bar", 7))
    found.append(content())
    (tmp_path / "bar" / "new.png").rename(tmp_path / "bar" / "old.png")
    found.append(content())
    drawn.save(tmp_path / "bar" / "old.png", drawn.picture("bar", 7, 40, 40))
    found.append(content())
    assert len(set(found)) == 4
    assert content() == found[-1]


def test_deeper_folders_links_and_home_are_followed(tmp_path, monkeypatch):
    drawn.folder(tmp_path / "all", each=3)
    inner = tmp_path / "all" / "bar" / "more"
    drawn.save(inner / "Deep.PNG", drawn.picture("bar", 8))
    os.symlink(tmp_path / "all" / "bar", inner / "loop")
    os.symlink(tmp_path / "all", tmp_path / "link")
    monkeypatch.setenv("HOME", str(tmp_path))
    info = data.info("folder:~/link", image_size=8)
    assert info.num_train + info.num_test >= 10
    assert load("~/link").class_names == drawn.CLASSES


def test_names_of_any_language_and_a_thousand_classes(tmp_path):
    drawn.save(tmp_path / "train" / "bär 'ж" / "ein bild.png",
               drawn.picture("bar", 1))  # fmt: skip
    picture = next((tmp_path / "train").rglob("*.png")).read_bytes()
    for split, count in (("train", 999), ("val", 3)):
        for number in range(count):
            folder = tmp_path / split / f"{number:03}"
            folder.mkdir(parents=True)
            (folder / "a.png").write_bytes(picture)
    train = load(tmp_path, image_size=4, image_channels=1)
    assert train.num_classes == 1000
    assert train.class_names[-1] == "bär 'ж"
    assert sorted(train.arrays()[1]) == list(range(1000))
    assert train.image_shape == (4, 4, 1)


def test_damaged_picture_is_named_also_if_only_decoding_shows_it(tmp_path):
    drawn.folder(tmp_path, each=4)
    path = tmp_path / "cross" / "0.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match="cross/0.png") as caught:
        for split in ("train", "test"):
            load(tmp_path, split)
    assert "\n" not in str(caught.value)
