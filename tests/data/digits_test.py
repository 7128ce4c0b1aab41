"""The digits builder against scikit-learn's own arrays."""

import sys

import numpy as np
import pytest
from sklearn import datasets

from hydra_tf.data import digits


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A builder whose data is written."""
    builder = digits.Digits(data_dir=tmp_path_factory.mktemp("tfds"))
    builder.download_and_prepare()
    return builder


def _read(builder, split):
    import tensorflow_datasets as tfds

    pairs = list(
        tfds.as_numpy(builder.as_dataset(split=split, as_supervised=True))
    )
    images, labels = zip(*pairs, strict=True)
    return np.stack(images), np.array(labels)


def test_sizes_of_the_splits(prepared):
    splits = prepared.info.splits
    assert set(splits) == {"train", "test"}
    assert splits["train"].num_examples == 1437
    assert splits["test"].num_examples == 360


def test_every_class_has_its_share_of_both_splits(prepared):
    total = np.bincount(datasets.load_digits().target)
    test = np.bincount(_read(prepared, "test")[1])
    train = np.bincount(_read(prepared, "train")[1])
    np.testing.assert_array_equal(train + test, total)
    assert np.all(np.abs(test - total / 5) < 1)


def test_stored_images_equal_those_of_scikit_learn(prepared):
    bunch = datasets.load_digits()
    for split in ("train", "test"):
        images, labels = _read(prepared, split)
        rows = digits.rows_for_testing(bunch.target) == (split == "test")
        assert images.dtype == np.uint8
        assert images.shape[1:] == (8, 8, 1)
        # round() of Python, which takes halves to the even number, agrees: the
        # only half is 8 * 255 / 16 = 127.5, and 128 is even.
        levels = np.array([round(255 * count / 16) for count in range(17)])
        expected = levels[bunch.images[rows].astype(int)]
        np.testing.assert_array_equal(images[..., 0], expected)
        np.testing.assert_array_equal(labels, bunch.target[rows])


def test_levels_span_the_range_and_stay_distinct():
    images, _ = digits.read_digits()
    assert images.min() == 0
    assert images.max() == 255
    assert len(np.unique(images)) == 17


def test_rows_for_testing_by_hand():
    # Sorted by class: 1, 4, 5 (class 0), 0, 2, 3 (class 1); every fifth.
    rows = digits.rows_for_testing(np.array([1, 0, 1, 1, 0, 0]))
    np.testing.assert_array_equal(np.flatnonzero(rows), [1, 3])


def test_description_is_complete(prepared):
    info = prepared.info
    assert info.name == "digits"
    assert str(info.version) == "1.0.0"
    assert "1.0.0" in prepared.RELEASE_NOTES
    assert info.supervised_keys == ("image", "label")
    assert info.homepage.startswith("https://")
    assert "Alpaydin" in info.citation
    assert info.features["label"].num_classes == 10


def test_import_registers_the_name(prepared):
    import tensorflow_datasets as tfds

    dataset = tfds.load(
        "digits", split="test", data_dir=prepared._data_dir_root
    )
    assert len(dataset) == 360
    assert "hydra_tf.data.digits" in sys.modules
