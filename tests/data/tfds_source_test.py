"""Finding, preparing and reading datasets; what goes wrong with them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf.data import tfds_source
from hydra_tf.errors import InputError


def _cifar_like(num_examples):
    generator = np.random.RandomState(num_examples)
    return (
        generator.randint(0, 256, (num_examples, 32, 32, 3)).astype(np.uint8),
        np.arange(num_examples, dtype=np.int64) % 10,
    )


@pytest.fixture(scope="module")
def cifar_dir(tmp_path_factory):
    """A folder with a prepared `cifar10` of 20 + 10 random images."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")

    def examples(num_examples):
        images, labels = _cifar_like(num_examples)
        return tf.data.Dataset.from_tensor_slices(
            {"id": labels.astype(str), "image": images, "label": labels}
        )

    tfds.dataset_builders.store_as_tfds_dataset(
        name="cifar10",
        version="3.0.2",
        features=tfds.features.FeaturesDict(
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        split_datasets={"train": examples(20), "test": examples(10)},
        data_dir=folder,
        disable_shuffling=True,
    )
    return folder


def test_reads_a_prepared_dataset_without_download(cifar_dir):
    pipe = data.load(
        "cifar10", "test", batch_size=4, data_dir=cifar_dir, download=False
    )
    images, labels = _cifar_like(10)
    got_images, got_labels = pipe.arrays()
    np.testing.assert_array_equal(got_labels, labels)
    np.testing.assert_array_equal(got_images, images.astype(np.float32) / 255)
    assert (pipe.name, pipe.split) == ("cifar10", "test")
    assert pipe.image_shape == (32, 32, 3)
    assert pipe.num_classes == 10
    assert pipe.steps_per_epoch == 3


def test_part_of_a_split(cifar_dir):
    pipe = data.load("cifar10", "train[:25%]", batch_size=4, data_dir=cifar_dir)
    assert pipe.num_examples == 5
    assert pipe.shuffle


def test_training_augments_and_evaluation_does_not(cifar_dir):
    def load(split, **settings):
        return data.load(
            "cifar10", split, batch_size=4, data_dir=cifar_dir, **settings
        )

    assert isinstance(load("train").augmentation, data.CropFlip)
    assert load("test").augmentation is None
    assert load("train", training=False).augmentation is None
    assert load("train", augment=False).augmentation is None
    assert load("test", augment=True).augmentation is not None
    own = data.CropFlip(padding=1)
    assert load("train", augment=own).augmentation is own


def test_batches_are_the_same_with_and_without_cache(cifar_dir):
    first, second = (
        data.load(
            "cifar10",
            "train",
            batch_size=8,
            data_dir=cifar_dir,
            fraction=0.5,
            cache=cache,
        )
        for cache in (True, False)
    )
    for one, other in zip(
        first.dataset(num_epochs=2), second.dataset(num_epochs=2), strict=True
    ):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_digits_are_prepared_in_silence(tmp_path, capfd):
    pipe = data.load("digits", "test", batch_size=100, data_dir=tmp_path)
    captured = capfd.readouterr()
    assert pipe.num_examples == 360
    assert captured.out == ""
    assert "examples" not in captured.err
    # No downloads folder, nothing half-written.
    assert os.listdir(tmp_path) == ["digits"]
    assert os.listdir(tmp_path / "digits") == ["1.0.0"]


@pytest.mark.slow
def test_two_processes_may_prepare_the_digits_at_once(tmp_path):
    program = (
        "import sys\n"
        "from hydra_tf import data\n"
        # It takes long to import, and not everybody needs it.
        "assert 'tensorflow_datasets' not in sys.modules\n"
        f"pipe = data.load('digits', 'test', batch_size=9,"
        f" data_dir={str(tmp_path)!r})\n"
        "print(pipe.num_examples)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert out.strip() == "360", err


def test_the_loser_of_a_race_uses_what_the_winner_wrote(tmp_path, monkeypatch):
    from hydra_tf.data import digits

    prepare = digits.Digits.download_and_prepare

    def beaten(self, **kwargs):
        prepare(digits.Digits(data_dir=tmp_path))
        os.makedirs(tmp_path / "other")
        os.rename(tmp_path / "other", self.data_dir)  # As TFDS does it.

    monkeypatch.setattr(digits.Digits, "download_and_prepare", beaten)
    pipe = data.load("digits", "test", batch_size=9, data_dir=tmp_path)
    assert pipe.num_examples == 360


def _message(name, split, **settings):
    with pytest.raises(InputError) as caught:
        tfds_source.read_split(name, split, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_absent_dataset_names_the_folder_that_is_expected(tmp_path):
    message = _message("mnist", "train", data_dir=tmp_path, download=False)
    assert "`data_dir` holds no prepared dataset 'mnist'" in message
    assert f"expected the folder {tmp_path}/mnist/" in message
    assert f"tfds build mnist --data_dir={tmp_path}" in message


def test_absent_folder_is_named(tmp_path):
    folder = tmp_path / "nowhere"
    message = _message("cifar10", "train", data_dir=folder, download=False)
    assert f"data_dir={folder} (no such folder)" in message
    assert not folder.exists()


@pytest.mark.parametrize("inside", ["cifar10", "cifar10/3.0.2"])
def test_folder_that_is_too_deep_is_recognised(cifar_dir, inside):
    message = _message("cifar10", "train", data_dir=cifar_dir / inside)
    assert f"must be the folder around {cifar_dir}/cifar10" in message


def test_unreachable_host_fails_at_once_and_leaves_nothing(
    tmp_path, monkeypatch
):
    import requests

    def refuse(url, **kwargs):
        raise requests.ConnectionError(url)

    monkeypatch.setattr(requests, "get", refuse)
    message = _message("cifar10", "train", data_dir=tmp_path / "new")
    assert "downloading it failed: no answer from www.cs.toronto.edu" in message
    assert not (tmp_path / "new").exists()


def test_unknown_split_gets_the_close_ones(cifar_dir):
    message = _message("cifar10", "tset", data_dir=cifar_dir)
    assert "`split` must be a split of cifar10. Did you mean 'test'?" in message


@pytest.mark.parametrize("split", ["train[:x]", "train[:0]"])
def test_part_that_cannot_be_taken_is_an_error(cifar_dir, split):
    message = _message("cifar10", split, data_dir=cifar_dir)
    assert message.endswith(f"Received: split={split!r}")


def test_truncated_file_is_an_error(cifar_dir, tmp_path):
    import shutil

    shutil.copytree(cifar_dir, tmp_path / "copy")
    (path,) = (tmp_path / "copy").glob("cifar10/*/*test.tfrecord*")
    os.truncate(path, path.stat().st_size // 2)
    message = _message("cifar10", "test", data_dir=tmp_path / "copy")
    assert "cannot be read (" in message
    assert f"data_dir={tmp_path / 'copy'}" in message


def test_digits_in_a_place_that_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    message = _message("digits", "test", data_dir=path)
    assert "`data_dir` must be a folder" in message
