"""What is fixed about the datasets by name."""

import pytest

from hydra_tf.data.augmentation import CropFlip
from hydra_tf.data.crops import RandomResizedCrop
from hydra_tf.errors import InputError
from hydra_tf.registry.datasets import DATASET
from hydra_tf.registry.datasets import DATASETS
from hydra_tf.registry.datasets import IMAGE_CHANNELS
from hydra_tf.registry.datasets import IMAGE_SIZE


@pytest.mark.parametrize(
    "name", ["mnist", "cifar10", "cifar100", "svhn_cropped"]
)
def test_facts_equal_those_of_tfds(name):
    import tensorflow_datasets as tfds

    features = tfds.builder_cls(name)(data_dir="unused").info.features
    info = DATASETS.entry(name)
    assert features["image"].shape == info.image_shape
    assert features["label"].num_classes == info.num_classes


def test_facts_of_imagenet_equal_those_of_tfds():
    import tensorflow_datasets as tfds

    features = tfds.builder_cls("imagenet2012")(data_dir="unused").info.features
    info = DATASETS.entry("imagenet2012")
    # Of any size there, of one size here.
    assert features["image"].shape == (None, None, 3)
    assert info.image_shape == (224, 224, 3)
    assert features["label"].num_classes == info.num_classes
    assert (info.num_train, info.num_test) == (1281167, 50000)
    assert info.test_split == "validation"


@pytest.mark.parametrize("name", DATASETS.names)
def test_only_colour_images_are_augmented(name):
    info = DATASETS.entry(name)
    if info.streamed:
        assert isinstance(info.augmentation, RandomResizedCrop)
        assert info.augmentation.area == (0.08, 1.0)
        assert info.augmentation.aspect_ratio == (3 / 4, 4 / 3)
        assert info.augmentation.flip
    elif info.image_shape[-1] == 3:
        assert isinstance(info.augmentation, CropFlip)
        assert info.augmentation.padding == 4
        assert info.augmentation.flip
    else:
        assert info.augmentation is None


@pytest.mark.parametrize(
    "text, size",
    [("64", (64, 64)), ("48x64", (48, 64)), ("48,64", (48, 64))],
)
def test_size_is_one_side_or_two(text, size):
    assert IMAGE_SIZE.check(IMAGE_SIZE.parse(text)) == size


@pytest.mark.parametrize("text", ["", "x", "0", "8x", "8x8x8", "-8", "5000"])
def test_other_sizes_are_refused(text):
    with pytest.raises(InputError, match="`image_size` must be a whole number"):
        IMAGE_SIZE.check(IMAGE_SIZE.parse(text))


def test_channels_are_grey_colour_or_with_opacity():
    values = [IMAGE_CHANNELS.parse(str(count)) for count in range(6)]
    assert [value for value in values if IMAGE_CHANNELS.accepts(value)] == [
        1,
        3,
        4,
    ]


def test_names_are_those_of_the_table_or_of_one_s_own():
    for name in ("digits", "folder:a/b", "tfds:a/b:1.0.0", "a.b:c"):
        assert DATASET.accepts(name)
    assert not DATASET.accepts("digit")
    assert "Did you mean folder:a/b?" in DATASET.hint("a/b")


def test_name_of_a_folder_that_is_there_is_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "folder:" not in DATASET.hint("pictures")
    (tmp_path / "pictures").mkdir()
    assert "Did you mean folder:pictures?" in DATASET.hint("pictures")
