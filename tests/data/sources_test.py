"""Which source a name stands for; datasets of TFDS that are in no table."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf

from hydra_tf import data
from hydra_tf.data import sources
from hydra_tf.data import stream
from hydra_tf.errors import InputError
from tests.data import drawn
from tests.data import fake_imagenet


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with data sets of TFDS that only it knows."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("tfds")

    def store(name, counts, image, pixels, label=None, **settings):
        def examples(count):
            def generate():
                for row in range(count):
                    yield {"image": pixels(row), "label": row % 3}

            shape = pixels(0).shape
            size = (None, None) if image.shape[0] is None else shape[:2]
            return tf.data.Dataset.from_generator(
                generate,
                output_signature={
                    "image": tf.TensorSpec((*size, shape[2]), tf.uint8),
                    "label": tf.TensorSpec((), tf.int64),
                },
            )

        silence = io.StringIO()
        with (
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
        ):
            tfds.dataset_builders.store_as_tfds_dataset(
                name=name,
                version="1.0.0",
                features=tfds.features.FeaturesDict(
                    {
                        "image": image,
                        "label": label
                        or tfds.features.ClassLabel(names=drawn.CLASSES),
                    }
                ),
                split_datasets={
                    split: examples(count) for split, count in counts.items()
                },
                data_dir=folder,
                disable_shuffling=True,
                **settings,
            )

    def of_any_size(row):
        return drawn.picture(drawn.CLASSES[row % 3], row, 20 + row, 24)

    store(
        "own_pictures",
        {"train": 10},
        tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
        of_any_size,
    )
    store(
        "own_grey",
        {"train": 9, "validation": 5},
        tfds.features.Image(shape=(7, 6, 1)),
        lambda row: np.full((7, 6, 1), 10 * row, np.uint8),
        config="small",
    )
    store(
        "own_numbers",
        {"train": 3},
        tfds.features.Image(shape=(7, 6, 1)),
        lambda row: np.full((7, 6, 1), row, np.uint8),
        label=tfds.features.Scalar(np.int64),
    )
    return folder


def test_dataset_of_tfds_has_its_own_size_and_splits(data_dir):
    name = "tfds:own_grey/small:1.0.0"
    info = data.info(name, data_dir=data_dir)
    assert info.image_shape == (7, 6, 1)
    assert (info.num_train, info.num_test) == (9, 5)
    assert info.class_names == drawn.CLASSES
    test = data.load(name, "test", batch_size=2, data_dir=data_dir)
    images, labels = test.arrays()
    np.testing.assert_array_equal(labels, np.arange(5) % 3)
    np.testing.assert_array_equal(
        images[:, 0, 0, 0], np.float32(10 * np.arange(5)) / 255
    )
    part = data.load(name, "train[:4]", batch_size=2, data_dir=data_dir)
    assert len(part) == 4 and part.shuffle
    # The version may be left out, and the size be another.
    colour = data.load(
        "tfds:own_grey/small",
        "test",
        batch_size=2,
        data_dir=data_dir,
        image_size=(3, 4),
        image_channels=3,
    )
    assert colour.arrays()[0].shape == (5, 3, 4, 3)
    np.testing.assert_array_equal(
        colour.arrays()[0][:, 0, 0, 2], images[:, 0, 0, 0]
    )


def test_images_of_any_size_need_one_and_lend_a_test_split(
    data_dir, monkeypatch
):
    name = "tfds:own_pictures"
    with pytest.raises(InputError, match="`image_size` is required"):
        data.info(name, data_dir=data_dir)
    settings = {"data_dir": data_dir, "image_size": 12, "test_fraction": 0.3}
    info = data.info(name, **settings)
    assert (info.num_train, info.num_test) == (7, 3)
    train = data.load(name, "train", batch_size=3, seed=1, **settings)
    test = data.load(name, "test", batch_size=3, **settings)
    np.testing.assert_array_equal(test.arrays()[1], np.arange(7, 10) % 3)
    with pytest.raises(InputError, match="is held out"):
        data.load(name, "train[:9]", batch_size=3, **settings)
    # What memory does not hold is read from the files.
    monkeypatch.setattr(sources, "fits_memory", lambda *_: False)
    assert data.info(name, **settings).streamed
    streamed = data.load(name, "train", batch_size=3, seed=1, **settings)
    assert isinstance(streamed, stream.StreamedPipeline)
    np.testing.assert_array_equal(streamed.arrays()[0], train.arrays()[0])
    np.testing.assert_array_equal(streamed.arrays()[1], train.arrays()[1])
    cropped = data.load(
        name,
        "train",
        batch_size=7,
        augment=data.RandomResizedCrop(),
        **settings,
    )
    (images, _), *_ = cropped
    assert images.shape == (7, 12, 12, 3)


def test_other_kinds_of_datasets_are_refused(data_dir):
    with pytest.raises(InputError, match="label: Scalar") as caught:
        data.info("tfds:own_numbers", data_dir=data_dir)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="Did you mean cifar10"):
        data.info("tfds:cifar_10", data_dir=data_dir)


def test_known_dataset_is_brought_to_another_size(tmp_path):
    settings = {"batch_size": 4, "data_dir": tmp_path}
    own = data.load("digits", "test", **settings).arrays(3)[0]
    larger = data.load(
        "digits", "test", image_size=16, image_channels=3, **settings
    )
    images = larger.arrays(3)[0]
    assert larger.image_shape == (16, 16, 3)
    expected = fake_imagenet.resized(255 * own[0], 16, 16) / 255
    np.testing.assert_allclose(
        images[0], np.repeat(expected, 3, axis=2), atol=0.51 / 255
    )
    assert data.info("digits", image_size=16).image_shape == (16, 16, 1)
