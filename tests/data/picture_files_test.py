"""Pictures that stay in their files: ImageNet's folder, and large ones."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from hydra_tf import data
from hydra_tf.data import folders
from hydra_tf.data import loading
from hydra_tf.data.picture_files import PicturePipeline
from hydra_tf.errors import InputError
from tests.data import drawn
from tests.data import fake_imagenet

CLASSES = ("n01440764", "n02102040", "n03000684")


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Smooth pictures as ImageNet's archives hold them, some no JPEG."""
    path = tmp_path_factory.mktemp("imagenet")
    for part, count, seed in (("train", 7, 1), ("val", 3, 2)):
        for number, pixels in enumerate(fake_imagenet.images(count, seed)):
            name = path / part / CLASSES[number % 3] / f"{number}.JPEG"
            kind = {"format": "JPEG", "quality": 95, "subsampling": 0}
            if number == 4:
                kind = {"format": "PNG"}
            drawn.save(name, pixels, **kind)
    return path


def load(path, split="train", **settings):
    settings = {"batch_size": 4} | settings
    return data.load(f"folder:{path}", split, **settings)


def decoded(path):
    """Returns the pixels of a split's pictures, in the order of the paths."""
    return [np.asarray(Image.open(each.decode())) for each in path]


def test_imagenet_is_what_the_data_set_of_its_name_is(imagenet):
    info = data.info(f"folder:{imagenet}")
    known = data.info("imagenet2012")
    assert info.image_shape == known.image_shape == (224, 224, 3)
    assert info.streamed
    assert (info.mean, info.deviation) == (known.mean, known.deviation)
    pipe = load(imagenet)
    assert isinstance(pipe, PicturePipeline)
    assert isinstance(pipe.augmentation, data.RandomResizedCrop)
    assert pipe.class_names == CLASSES
    assert pipe.digest() == load(imagenet).digest()
    test = load(imagenet, "test")
    images, labels = test.arrays()
    assert sorted(labels) == [0, 1, 2]
    for image, pixels in zip(images, decoded(test._paths), strict=True):
        # The decoder of another library.
        np.testing.assert_allclose(
            image, fake_imagenet.middle(pixels), atol=0.02
        )


def test_training_pictures_are_the_parts_that_their_numbers_choose(imagenet):
    pipe = load(imagenet, seed=4, batch_size=7)
    seed = tf.random.fold_in(
        tf.constant([4, 0], tf.int64), tf.constant(1, tf.int64)
    )
    numbers = pipe.augmentation.draw(7, tf.random.fold_in(seed, 1))
    ((images, _),) = pipe.dataset(1)
    expected = []
    for pixels, each in zip(decoded(pipe._paths), numbers, strict=True):
        window, mirrored = pipe.augmentation.window(*pixels.shape[:2], each)
        top, left, rows, columns = window.numpy()
        part = pixels[top : top + rows, left : left + columns]
        part = fake_imagenet.resized(part, 224, 224) / 255
        expected.append(part[:, ::-1] if mirrored else part)
    # Shuffled: each of them is there, and close to one alone.
    distances = np.array(
        [[np.abs(one - other).max() for other in expected] for one in images]
    )
    assert sorted(np.argmin(distances, axis=1)) == list(range(7))
    assert np.max(np.min(distances, axis=1)) < 0.03


def test_other_sizes_and_grey_pictures_are_those_of_any_folder(imagenet):
    small = load(imagenet, image_size=16, augment=False)
    assert isinstance(small, PicturePipeline)
    assert small.image_shape == (16, 16, 3)
    grey = load(imagenet, image_size=16, image_channels=1)
    assert grey.augmentation is None and grey.image_shape == (16, 16, 1)


def test_large_folders_have_the_batches_of_small_ones(tmp_path, monkeypatch):
    drawn.folder(tmp_path, each=4)
    settings = {"image_size": 8, "seed": 2, "fraction": 0.8}
    small = load(tmp_path, **settings)
    monkeypatch.setattr(folders, "fits_memory", lambda *size: False)
    monkeypatch.setattr(loading, "fits_memory", lambda *size: False)
    large = load(tmp_path, **settings)
    assert isinstance(large, PicturePipeline)
    pairs = list(zip(small.dataset(1, 2), large.dataset(1, 2), strict=True))
    assert len(pairs) == 4
    for (images, labels), (images_2, labels_2) in pairs:
        np.testing.assert_array_equal(labels, labels_2)
        np.testing.assert_array_equal(images, images_2)
    rest, held_out = data.split_validation(large, 0.25)
    assert len(rest) + len(held_out) == len(large)


def test_damaged_pictures_are_named_when_they_are_read(tmp_path, monkeypatch):
    drawn.folder(tmp_path, each=4)
    monkeypatch.setattr(folders, "fits_memory", lambda *size: False)
    monkeypatch.setattr(folders, "_LOOKED_AT", 0)
    path = load(tmp_path, image_size=8)._paths[3]
    with open(path, "r+b") as file:
        file.truncate(20)
    with pytest.raises(InputError, match="truncated or damaged") as error:
        load(tmp_path, image_size=8).arrays()
    assert path.decode() in str(error.value)
